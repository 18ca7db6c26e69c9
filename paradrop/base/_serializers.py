"""Imports Autobahn's serializers without what only serializers nobody here speaks need.

Autobahn (26.10) imports bjdata and, for FlatBuffers, NumPy, where they are installed. bjdata 0.6 is built against NumPy 1 and,
with NumPy 2, prints a page of ``_ARRAY_API not found`` on its way; NumPy takes 15 MB. For one import bjdata is marked as absent,
and NumPy, whose absence Autobahn would not notice, is an empty module.
"""

from __future__ import annotations

import sys
from types import ModuleType

import txaio

txaio.use_twisted()  # the serializers bind txaio's functions when they are imported
_absent = None  # how the import system says "not there"
_hidden = {name: module for name, module in (("bjdata", _absent), ("numpy", ModuleType("numpy"))) if name not in sys.modules}
sys.modules.update(_hidden)  # type: ignore[arg-type]
try:
    import autobahn.wamp.serializer
finally:
    for _name in _hidden:
        del sys.modules[_name]

CBORSerializer = autobahn.wamp.serializer.CBORSerializer
