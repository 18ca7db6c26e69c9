"""Whose answer it is. Facts about Crossbar are those of 26.10.1.

Invocations are numbered by one counter for the whole router, so that everybody can guess the next ones. Crossbar sees to it that
a ``YIELD`` comes from the session that was called, and not that an ``ERROR`` does.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message


def is_forged(router: Any, session: Any, msg: Any) -> bool:
    """Whether *msg* of *session* answers a call that another session was given.

    An answer to what is over is not: a callee may not know yet that its caller has given up.
    """
    kind = type(msg)
    if kind is not message.Yield and not (kind is message.Error and msg.request_type == message.Invocation.MESSAGE_TYPE):
        return False
    invocation = router._dealer._invocations.get(msg.request)
    return invocation is not None and invocation.callee is not session
