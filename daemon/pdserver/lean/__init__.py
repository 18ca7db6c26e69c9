"""A folder for the module path of the node's router worker; see :mod:`pdserver.lean.sitecustomize`."""
