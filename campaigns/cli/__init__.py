"""The `dialer` commands that read and steer campaigns. One module per noun, imported when it is named."""
