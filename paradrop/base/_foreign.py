"""What arrives from others and would upset Autobahn (26.10), which then closes the session: seen to before it gets there."""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message

from paradrop.base.exceptions import InvalidInput

OF_ANSWERS = frozenset({"callee", "callee_authid", "callee_authrole", "enc_algo", "error", "forward_for"})
"""Keywords that ``CallResult(**…)`` and ``ApplicationError(**…)`` take for their own; twice the same raises in the session."""
OF_CALLS = frozenset({"fun", "self"})
"""Keywords that txaio's ``as_future(fun, **…)`` takes for its own."""

_PENDING = {
    message.Call.MESSAGE_TYPE: "_call_reqs",
    message.Publish.MESSAGE_TYPE: "_publish_reqs",
    message.Subscribe.MESSAGE_TYPE: "_subscribe_reqs",
    message.Unsubscribe.MESSAGE_TYPE: "_unsubscribe_reqs",
    message.Register.MESSAGE_TYPE: "_register_reqs",
    message.Unregister.MESSAGE_TYPE: "_unregister_reqs",
}


def admissible(session: Any, msg: Any) -> bool:
    """Whether *session* is to see *msg*, which may lose some keywords here. What is a call is answered.

    An answer to what nobody waits for any more is not: Crossbar (26.10.1) may send a second one for a call that was cancelled.
    """
    kind = type(msg)
    if kind is message.Result:
        if msg.request not in session._call_reqs:
            return False
        _without(msg, OF_ANSWERS)
    elif kind is message.Error:
        if msg.request not in getattr(session, _PENDING.get(msg.request_type, ""), ()):
            return False
        _without(msg, OF_ANSWERS)
    elif kind is message.Invocation and msg.kwargs and not OF_CALLS.isdisjoint(msg.kwargs):
        words = f"no keyword argument may be called {' or '.join(sorted(OF_CALLS))}"
        refusal = message.Error(message.Invocation.MESSAGE_TYPE, msg.request, InvalidInput.uri(), args=[words])
        session._transport.send(refusal)
        return False
    elif kind is message.Event:
        return not msg.kwargs or OF_CALLS.isdisjoint(msg.kwargs)
    return True


def _without(msg: Any, names: frozenset[str]) -> None:
    if msg.kwargs and not names.isdisjoint(msg.kwargs):
        msg.kwargs = {name: value for name, value in msg.kwargs.items() if name not in names}
