"""A bridge of its own for every chute: its services see each other by name, and no other chute."""

from __future__ import annotations

from contextlib import suppress

from paradrop.base.exceptions import Conflict, NotFound
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.names import Names


class Networks:
    def __init__(self, calls: Calls, names: Names) -> None:
        self._calls, self._names = calls, names
        self._known: set[str] = set()

    async def ensure(self, chute: str, *, again: bool = False) -> None:
        """See that the network of *chute* is there; asked of Docker once, unless *again*. Raises :class:`Conflict` when somebody
        else has a network of that name."""
        if chute in self._known and not again:
            return
        name = self._names.network(chute)
        if not await self._ours(chute):
            try:
                await self._calls("create_network", name, driver="bridge", labels=self._names.chute_labels(chute))
            except Conflict as problem:
                if not await self._ours(chute):  # not made by another start of the same chute just now
                    raise Conflict(f"a network {name} exists that Paradrop did not make") from problem
        self._known.add(chute)

    async def forget(self, chute: str) -> None:
        """Delete the network of *chute*. Raises :class:`Conflict` while a container is on it."""
        self._known.discard(chute)
        for network in await self._ours(chute):
            with suppress(NotFound):
                await self._calls("remove_network", network)

    async def _ours(self, chute: str) -> list[str]:
        found = await self._calls("networks", filters=self._names.network_filters(chute))
        return [network["Id"] for network in found if self._names.ours(network["Labels"])]
