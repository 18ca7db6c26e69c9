"""Run by Python itself when a process of the node starts, because this folder is on its module path (see the module ``site``).

``crossbar.worker`` (26.10.1) imports a blockchain stack and NumPy, which a router never uses: 57 MB and a second, on the machine
this was measured on. In that process they stay out for good, as in ``paradropd.fabric.lean``; the worker runs nothing
else.
"""

from __future__ import annotations

import sys

WORKER = "crossbar.worker.main"
"""What the worker runs. The controller, whose environment the worker inherits, does use some of these packages."""

UNUSED = (
    *("crossbar.edge", "crossbar.master"),
    *("cfxdb", "eth_abi", "eth_account", "eth_keys", "eth_typing", "eth_utils", "hexbytes"),
    *("mnemonic", "numpy", "py_ecc", "py_eth_sig_utils", "rlp", "spake2", "txtorcon", "web3", "xbr", "zlmdb"),
)
"""Packages that the worker imports and does not use."""

if WORKER in sys.orig_argv:
    import paradrop.base._serializers  # noqa: F401 - before anything of Crossbar's imports them with bjdata
    from paradrop.routing.standins import StandIns

    StandIns(UNUSED).install()
