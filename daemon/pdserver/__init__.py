"""The server: a registry of devices and people beside a Crossbar node, which joins them into one realm."""
