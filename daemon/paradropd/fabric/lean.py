"""Imports Crossbar's router without the packages a router never uses.

``import crossbar`` (26.10) pulls in a blockchain stack, NumPy and two database layers: 130 MB resident and 1.8 s on the machine
this was measured on. None of it is touched by the broker, the dealer or the two WAMP transports. While :func:`load` imports the
router's modules, every import of one of :data:`UNUSED` is answered with an empty stand-in whose attributes are empty classes (so
that class statements and annotations still work); afterwards the stand-ins leave ``sys.modules``, so that anybody else who
imports one of those packages gets the real one. What remains is 56 MB and 0.4 s.

``tests/functional/test_lean_router.py`` runs the same session against the lean and the plain import; the setting
``LEAN_ROUTER = false`` turns this off.
"""

from __future__ import annotations

import importlib

import paradrop.base._serializers  # noqa: F401 - before anything of Crossbar's imports them with bjdata
from paradrop.routing.standins import StandIns

UNUSED = frozenset({"cfxdb", "eth_abi", "eth_typing", "humanize", "numpy", "pygments", "txtorcon", "web3", "xbr", "zlmdb"})
"""Top-level packages that Crossbar imports and the router does not use."""

MODULES = (
    "crossbar.router.protocol",
    "crossbar.router.role",
    "crossbar.router.router",
    "crossbar.router.service",
    "crossbar.router.session",
    # Imported by RouterSession.onOpen: it must find the stand-ins too.
    "crossbar.bridge.mqtt.wamp",
)


def load(lean: bool = True) -> None:
    """Import Crossbar's router, by default without :data:`UNUSED`. Does nothing the second time."""
    if not lean:
        for name in MODULES:
            importlib.import_module(name)
        return
    stand_ins = StandIns(UNUSED)
    stand_ins.install()
    try:
        for name in MODULES:
            importlib.import_module(name)
    finally:
        stand_ins.remove()
