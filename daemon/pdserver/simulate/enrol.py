"""Puts a simulated fleet into the registry of a server that is not running."""

from __future__ import annotations

from paradrop.base.exceptions import Conflict
from paradrop.base.seams import Threads, WallClock
from pdserver.home import ServerHome
from pdserver.registry import Database, Registry
from pdserver.registry.records import NewDevice
from pdserver.simulate.fleet import GROUP, Fleet

AT_ONCE = 1000
"""Devices in one transaction."""


def database_of(home: ServerHome, database: str = "") -> str:
    """The registry's URL: *database*, or SQLite in the home."""
    return database or f"sqlite:///{home.database}"


async def enrol(home: ServerHome, database: str, fleet: Fleet, threads: Threads, wall: WallClock) -> int:
    """Create those devices of *fleet* that are missing, with their keys, in the group :data:`GROUP`. Returns how many.

    Raises :class:`HomeInUse` when the server runs: its registry is in its memory, and would not see them. Raises
    :class:`Conflict` when one is there with another key.
    """
    home.make()
    with home.lock():
        registry = Registry(Database(database_of(home, database), threads), wall)
        await registry.open()
        try:
            return await _create(registry, fleet)
        finally:
            await registry.close()


async def _create(registry: Registry, fleet: Fleet) -> int:
    directory = registry.directory
    if GROUP not in directory.groups():
        await registry.add_group(GROUP)
    missing = []
    for number in range(len(fleet)):
        pdid, key = fleet.pdid(number), fleet.key(number).public
        known = directory.device(pdid)
        if known is None:
            missing.append(NewDevice(pdid=pdid, public_key=key, groups=(GROUP,)))
        elif known.public_key != key:
            raise Conflict(f"{pdid} is there with another key: choose another seed or organization")
    for first in range(0, len(missing), AT_ONCE):
        await registry.create_devices(missing[first : first + AT_ONCE])
    return len(missing)
