"""What a WAMP router needs against its peers, on a device and on a server: bounds, quotas, and few lines in the log.

Nothing here imports Crossbar; it is handed in by those who do.
"""
