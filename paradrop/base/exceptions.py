"""Every error Paradrop raises on purpose, as one tree.

::

    ParadropException
    ├── InteralException                 a defect of ours (the reference's spelling is kept)
    ├── InvalidInput                     what the caller sent cannot be accepted
    │   ├── InvalidManifest              … in paradrop.yaml: every problem, with its path
    │   ├── InvalidSettings              … in settings.ini, a K:V list or the environment
    │   └── InvalidSource                … in a chute's folder or in a blob
    ├── NotPermitted                     known, and not allowed
    ├── NotFound
    │   ├── ChuteNotFound
    │   ├── ServiceNotFound
    │   ├── DeviceNotFoundException
    │   ├── ChangeNotFound
    │   └── LogNotFound
    ├── ChuteNotRunning                  the chute is there, and stopped
    ├── Conflict                         it contradicts what is already there
    │   └── HomeInUse                    another paradropd has this home
    ├── TooManyAttempts                  slow down
    ├── StorageFull                      no room to write state down
    ├── DeadlineExceeded                 no answer in time
    ├── Unreachable                      nobody answers at that address
    │   └── DeviceOffline                … the server knows the device, which is not connected
    ├── EngineError                      the engine said no
    │   ├── EngineUnavailable            … or says nothing at all
    │   ├── BuildFailed
    │   ├── ImageNotFound
    │   └── StartFailed                  the chute exits, or never becomes healthy
    ├── ChangeFailed                     a change ended in failed or rolled back
    └── PdServerException
        ├── AuthenticationError
        ├── InvalidCredentials
        ├── ModelNotFound
        ├── PdidError
        ├── PdidExclusionError
        ├── InvitationRefused            a claim token or login code that is not (or no more) good
        └── DatabaseUnavailable          the server's database is locked, full or away

The class docstring is the sentence a person reads when the error says nothing more exact. Each class knows its exit code
(``pdtools``), its HTTP status (the web API) and its WAMP error URI (``cxbr`` maps it in both directions), and whether
trying the same thing again can help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

ERROR_PREFIX = "org.paradrop.error."


class ParadropException(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    slug: ClassVar[str] = "error"
    retry: ClassVar[bool] = False

    def __init__(self, message: str = "", *more: object) -> None:
        super().__init__(message or type(self).sentence(), *more)

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def sentence(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    @classmethod
    def uri(cls) -> str:
        """The WAMP error URI (WAMP, section "URIs")."""
        return ERROR_PREFIX + cls.slug


class InteralException(ParadropException):
    """Paradrop has a defect here; the daemon's log says more."""

    slug = "internal"


class InvalidInput(ParadropException):
    """That input cannot be accepted."""

    exit_code = 2
    http_status = 400
    slug = "invalid_input"


class InvalidManifest(InvalidInput):
    """The manifest is not valid."""

    slug = "invalid_manifest"

    def __init__(self, problems: Sequence[str] | str = ()) -> None:
        """*problems*: one line each, ``path: reason``."""
        self.problems: tuple[str, ...] = tuple(problems.splitlines() if isinstance(problems, str) else problems)
        super().__init__("\n".join(self.problems))


class InvalidSettings(InvalidInput):
    """The settings are not valid."""

    exit_code = 78  # EX_CONFIG of sysexits(3)
    slug = "invalid_settings"


class InvalidSource(InvalidInput):
    """The folder cannot be sent as a chute."""

    slug = "invalid_source"


class NotPermitted(ParadropException):
    """You may not do that."""

    exit_code = 77  # EX_NOPERM of sysexits(3)
    http_status = 403
    slug = "not_permitted"


class NotFound(ParadropException):
    """There is no such thing."""

    http_status = 404
    slug = "not_found"


class ChuteNotFound(NotFound):
    """There is no chute of that name."""

    slug = "chute_not_found"


class ServiceNotFound(NotFound):
    """There is no service of that name."""

    slug = "service_not_found"

    def __init__(self, name: str = "") -> None:
        self.name = name
        super().__init__(f"there is no service {name!r}" if name and " " not in name else name)


class DeviceNotFoundException(NotFound):
    """There is no device of that name."""

    slug = "device_not_found"


class ChangeNotFound(NotFound):
    """There is no change with that id."""

    slug = "change_not_found"


class LogNotFound(NotFound):
    """There is no log of that name."""

    slug = "log_not_found"


class ChuteNotRunning(ParadropException):
    """The chute is not running."""

    http_status = 409
    slug = "chute_not_running"


class Conflict(ParadropException):
    """That contradicts what is already there."""

    http_status = 409
    slug = "conflict"


class HomeInUse(Conflict):
    """Another paradropd is running on this home."""

    slug = "home_in_use"


class TooManyAttempts(ParadropException):
    """Too many attempts; wait a little."""

    http_status = 429
    slug = "too_many_attempts"
    retry = True

    def __init__(self, message: str = "", wait: float = 0.0) -> None:
        """*wait*: seconds until the next attempt is heard."""
        self.wait = wait
        super().__init__(message, wait)


class StorageFull(ParadropException):
    """There is no room left on the device's disk; nothing was changed."""

    http_status = 507
    slug = "storage_full"
    retry = True


class DeadlineExceeded(ParadropException):
    """There was no answer in time."""

    exit_code = 75  # EX_TEMPFAIL of sysexits(3)
    http_status = 504
    slug = "deadline_exceeded"
    retry = True


class Unreachable(ParadropException):
    """Nobody answers there."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits(3)
    http_status = 503
    slug = "unreachable"
    retry = True


class DeviceOffline(Unreachable):
    """The device is not connected to its server now."""

    slug = "device_offline"


class EngineError(ParadropException):
    """The engine could not do that."""

    http_status = 502
    slug = "engine_error"


class EngineUnavailable(EngineError):
    """The engine does not answer."""

    http_status = 503
    slug = "engine_unavailable"
    retry = True


class BuildFailed(EngineError):
    """The chute could not be built."""

    slug = "build_failed"


class ImageNotFound(EngineError):
    """There is no such image, here or in a registry."""

    slug = "image_not_found"


class StartFailed(EngineError):
    """The chute did not stay up."""

    slug = "start_failed"


class ChangeFailed(ParadropException):
    """The change failed."""

    slug = "change_failed"


class PdServerException(ParadropException):
    """The server refused."""

    slug = "server_error"


class AuthenticationError(PdServerException):
    """You are not logged in."""

    exit_code = 77
    http_status = 401
    slug = "authentication"


class InvalidCredentials(PdServerException):
    """Wrong name or password."""

    exit_code = 77
    http_status = 401
    slug = "invalid_credentials"


class ModelNotFound(PdServerException):
    """The server knows no such thing."""

    http_status = 404
    slug = "model_not_found"


class PdidError(PdServerException):
    """That is not a device id."""

    http_status = 400
    slug = "pdid"


class PdidExclusionError(PdServerException):
    """That device id is taken."""

    http_status = 409
    slug = "pdid_exclusion"


class InvitationRefused(PdServerException):
    """That token is not good: it was used already, has expired, or never was one."""

    exit_code = 77
    http_status = 403
    slug = "invitation_refused"


class DatabaseUnavailable(PdServerException):
    """The server cannot write to its database now; nothing was changed."""

    exit_code = 75  # EX_TEMPFAIL of sysexits(3)
    http_status = 503
    slug = "database_unavailable"
    retry = True


def tree(root: type[ParadropException] = ParadropException) -> Iterator[type[ParadropException]]:
    """Every class of the tree, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)
