"""Schema changes, in order. A change adds in one release and removes in a later one."""
