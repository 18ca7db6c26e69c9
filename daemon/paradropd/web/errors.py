"""An exception as an HTTP answer: the one place where an error of ours becomes a status."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from paradrop.base.exceptions import InteralException, ParadropException, TooManyAttempts

_log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    code: str
    """A word for programs."""
    message: str
    """A sentence for people."""
    retry: bool = False
    """Whether the same request may succeed later."""
    headers: tuple[tuple[str, str], ...] = ()

    def plain(self) -> dict[str, object]:
        """What the API sends."""
        return {"error": {"code": self.code, "message": self.message, "retry": self.retry}}


def answer_to(failure: Failure) -> Answer:
    """What to tell the client about *failure*. One that nobody meant is logged, and its details stay in the log."""
    problem = failure.value
    if isinstance(problem, HTTPException) and problem.code is not None:
        headers = (("Allow", ", ".join(sorted(problem.valid_methods or ()))),) if isinstance(problem, MethodNotAllowed) else ()
        code = problem.name.lower().replace(" ", "_")
        return Answer(status=problem.code, code=code, message=problem.description or problem.name, headers=headers)
    if isinstance(problem, ParadropException) and not isinstance(problem, InteralException):
        return Answer(
            status=problem.http_status, code=problem.slug, message=str(problem), retry=problem.retry, headers=_headers(problem)
        )
    _log.failure("a request to the web site failed", failure=failure)
    return Answer(status=500, code=InteralException.slug, message=InteralException.sentence())


def _headers(problem: ParadropException) -> tuple[tuple[str, str], ...]:
    if isinstance(problem, TooManyAttempts):
        return (("Retry-After", str(math.ceil(problem.wait))),)
    if problem.http_status == 401:
        return (("WWW-Authenticate", "Bearer"),)  # RFC 9110, 11.6.1: a 401 names its scheme
    return ()
