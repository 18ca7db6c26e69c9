"""The server's own session on its node, of which there may be none at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autobahn.wamp.types import CallOptions, PublishOptions

from paradrop.base.cxbr import DEADLINE, BaseSession
from paradrop.base.exceptions import Unreachable
from pdserver.gate.names import WampRole


class Link:
    """Calls and events of the server, whichever session carries them."""

    def __init__(self) -> None:
        self.session: BaseSession | None = None

    async def call(self, uri: str, *args: Any, deadline: float = DEADLINE, **kwargs: Any) -> Any:
        """*uri*'s answer. Raises what :meth:`BaseSession.stockCall` does, and :class:`Unreachable` while the node is away."""
        if self.session is None:
            raise Unreachable("the server's node is away")
        return await self.session.stockCall(uri, *args, options=CallOptions(timeout=deadline), **kwargs)

    def publish(self, uri: str, *args: Any, users: Sequence[str]) -> None:
        """Publish to those users only; nowhere, while the node is away."""
        if self.session is None or not users:
            return
        options = PublishOptions(eligible_authid=list(users), eligible_authrole=[WampRole.USER.value])
        self.session.stockPublish(uri, *args, options=options).addErrback(lambda failure: None)
