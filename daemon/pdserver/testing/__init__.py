"""A server in memory: the whole service, on a node that is only a table, with a clock that a test moves.

::

    world = World(tmp_path)
    world.start()
    ada = world.administrator("ada")
    ada.call(uris.DEVICES_CREATE, "acme.r1")

Everything lies in one folder, so that a second world on the same folder is the next server in the same home. The node is the
router and the gate in one: it knows who has registered what, and lets everybody in and through; what the gate refuses is tested
with the gate.
"""

from pdserver.testing.device import MemoryDevice
from pdserver.testing.node import Event, MemoryNode, Peer
from pdserver.testing.world import AUTHORITY, EPOCH, URL, WeakDatabase, World

__all__ = ["AUTHORITY", "EPOCH", "URL", "Event", "MemoryDevice", "MemoryNode", "Peer", "WeakDatabase", "World"]
