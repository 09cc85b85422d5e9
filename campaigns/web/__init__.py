"""The web process: webhook receiver, dashboard, health."""
