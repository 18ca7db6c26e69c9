"""Imports Autobahn's serializers without bjdata.

Autobahn (26.10) imports bjdata, where it is installed, for a serializer nobody here speaks. bjdata 0.6 is built against NumPy 1
and, with NumPy 2, prints a page of ``_ARRAY_API not found`` on its way. Marked as absent for one import, it is left out.
"""

from __future__ import annotations

import sys

import txaio

txaio.use_twisted()  # the serializers bind txaio's functions when they are imported
_hidden = "bjdata" not in sys.modules
if _hidden:
    sys.modules["bjdata"] = None  # type: ignore[assignment]  # how the import system says "not there"
try:
    import autobahn.wamp.serializer
finally:
    if _hidden:
        del sys.modules["bjdata"]

CBORSerializer = autobahn.wamp.serializer.CBORSerializer
