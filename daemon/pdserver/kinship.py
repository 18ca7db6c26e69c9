"""Beside the gate: a component that ends the router worker with the node's controller, at once, whatever it is doing."""

from __future__ import annotations

import os
from typing import Any

from autobahn.twisted.wamp import ApplicationSession

from pdserver.leash import die_with_parent


class DiesWithNode(ApplicationSession):
    """By itself Crossbar's worker looks after a broken pipe only (26.10), and one that is stuck would keep the port."""

    def onJoin(self, details: Any) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onJoin`."""
        die_with_parent(os.getppid())
