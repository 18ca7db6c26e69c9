"""What Docker's errors mean to us: the one place where they are translated."""

from __future__ import annotations

import docker.errors
import requests.exceptions
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed

from paradrop.base.exceptions import (
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    NotFound,
    ParadropException,
    StartFailed,
    StorageFull,
)

VENDOR_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    ConnectError,
    ConnectionClosed,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
"""Everything that a call to Docker may raise, by docker-py or by Twisted's HTTP client."""

_FULL = ("no space left on device", "disk quota exceeded")
_TAKEN = ("port is already allocated", "address already in use")
_NO_IMAGE = ("no such image", "pull access denied", "manifest unknown", "repository does not exist", "manifest for ")
_NOT_STARTED = (
    "executable file not found",
    "no such file or directory: unknown",
    "exec format error",
    "oci runtime",
    "failed to create shim",
    "failed to create task",
    "permission denied: unknown",
)
_STOPPING = ("context canceled", "client connection is closing", "transport is closing", "daemon is shutting down")


def refusal(status: int, message: str) -> ParadropException:
    """What Docker means by an HTTP *status* and its *message* (Docker Engine API 1.41, ``ErrorResponse``)."""
    text = message.strip() or f"Docker answered with status {status}"
    lower = text.lower()

    def says(fragments: tuple[str, ...]) -> bool:
        return any(fragment in lower for fragment in fragments)

    if says(_FULL):
        return StorageFull(f"Docker has no room left on its disk: {text}")
    if says(_TAKEN):
        return Conflict(text)
    if says(_STOPPING):
        return EngineUnavailable(f"Docker is stopping: {text}")
    if says(_NO_IMAGE):
        return ImageNotFound(text)
    if says(_NOT_STARTED):
        return StartFailed(text)
    if status == 404:
        return NotFound(text)
    if status in (403, 409):
        return Conflict(text)
    return EngineError(text)


def translate(problem: Exception) -> ParadropException:
    """*problem*, one of :data:`VENDOR_ERRORS`, in our words."""
    if isinstance(problem, docker.errors.APIError):
        response = problem.response
        return refusal(response.status_code if response is not None else 500, str(problem.explanation or problem))
    if isinstance(problem, docker.errors.InvalidRepository):
        return ImageNotFound(str(problem))
    if isinstance(problem, docker.errors.InvalidVersion | docker.errors.TLSParameterError):
        return EngineError(str(problem))
    return EngineUnavailable(f"Docker does not answer: {innermost(problem)}")


def innermost(problem: object) -> str:
    """The message at the bottom of a chain of wrapped errors: the part that says what happened."""
    while isinstance(problem, RequestGenerationFailed | RequestTransmissionFailed | ResponseFailed) and problem.reasons:
        last = problem.reasons[-1]
        problem = last.value if isinstance(last, Failure) else last
    return str(problem) or type(problem).__name__
