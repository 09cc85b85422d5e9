"""When it happens: processes and their wiring. Nobody imports this package."""
