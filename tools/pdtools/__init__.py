"""``pdtools``: a device on the command line, as one more peer on its fabric."""
