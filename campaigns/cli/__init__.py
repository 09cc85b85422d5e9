"""The `dialer` commands that read and steer campaigns."""
