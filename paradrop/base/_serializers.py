"""Imports Autobahn's serializers without what only serializers nobody here speaks need.

Autobahn (26.10) imports bjdata and, for FlatBuffers, NumPy, where they are installed. bjdata 0.6 is built against NumPy 1 and,
with NumPy 2, prints a page of ``_ARRAY_API not found`` on its way; NumPy takes 15 MB. For one import bjdata is marked as absent,
and NumPy, whose absence Autobahn would not notice, is an empty module.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import cbor2
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
from autobahn.wamp.exception import ApplicationError, SerializationError  # noqa: E402 - only now
from autobahn.wamp.message import Error  # noqa: E402

QUOTED = 200
"""Characters of a refused answer that are told of it."""


class CBORSerializer(autobahn.wamp.serializer.CBORSerializer):
    """CBOR, with two mistakes of Autobahn (26.10) put right that would leave a caller without any answer."""

    def serialize(self, msg: Any) -> tuple[bytes, bool]:
        """Implements :func:`autobahn.wamp.interfaces.ISerializer.serialize`. Raises ``SerializationError``."""
        if isinstance(msg, Error) and msg.error in (ApplicationError.PAYLOAD_SIZE_EXCEEDED, ApplicationError.INVALID_PAYLOAD):
            # The error quotes the whole answer that could not be sent, and so could not be sent either.
            msg.args = [str(arg)[:QUOTED] for arg in msg.args or ()]
        try:
            data: tuple[bytes, bool] = super().serialize(msg)
        except cbor2.CBOREncodeError as problem:
            raise SerializationError(str(problem)) from problem  # what Autobahn expects, and cbor2 6 does not raise
        return data
