"""What is asked of a router, and its answers and errors in our own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp.exception import ApplicationError, InvalidUriError, SerializationError, TransportLost
from twisted.internet.defer import Deferred

from paradrop.base.exceptions import Conflict, InvalidInput, NotFound, NotPermitted, ParadropException, Unreachable


def asked(function: Callable[..., Any], action: str, uri: str, *args: Any, **kwargs: Any) -> Deferred[Any]:
    """*function*'s answer, with the fabric's own errors as errors of our tree and anything else as it is.

    It is a Deferred of its own, and not the one that Autobahn (26.10) keeps: when the link is lost, that one is chained into
    another, and whoever looks at it only afterwards would find it to have succeeded.
    """

    async def ask() -> Any:
        try:
            answer = function(*args, **kwargs)
        except TransportLost as problem:
            raise Unreachable("the link to the fabric is down") from problem
        except InvalidUriError as problem:
            raise InvalidInput(f"{uri!r} is no name on the fabric") from problem
        except SerializationError as problem:
            raise InvalidInput(f"the arguments of {uri} cannot be sent: {problem}") from problem
        except PayloadExceededError as problem:
            raise InvalidInput(f"the arguments of {uri} are larger than the fabric takes") from problem
        try:
            return await answer if isinstance(answer, Deferred) else answer
        except SerializationError as problem:
            raise ParadropException(f"the answer of {uri} is nothing that can be sent") from problem
        except PayloadExceededError as problem:
            raise ParadropException(f"the answer of {uri} is larger than the fabric takes") from problem
        except ApplicationError as problem:
            ours = _of_our_tree(problem.error, action, uri)
            if ours is None:
                raise
            raise ours from problem

    return Deferred.fromCoroutine(ask())


def _of_our_tree(error: str, action: str, uri: str) -> ParadropException | None:
    match error:
        case ApplicationError.NO_SUCH_PROCEDURE:
            return NotFound(f"nobody has registered {uri}")
        case ApplicationError.NOT_AUTHORIZED:
            return NotPermitted(f"you may not {action} {uri}")
        case ApplicationError.PROCEDURE_ALREADY_EXISTS:
            return Conflict(f"{uri} is registered already")
        case ApplicationError.CANCELED:
            return Unreachable(f"whoever answers {uri} went away")
        case ApplicationError.INVALID_URI:
            return InvalidInput(f"{uri!r} is no name on the fabric")
        case reason if reason.startswith("wamp.close."):
            return Unreachable("the link to the fabric went down")
    return None
