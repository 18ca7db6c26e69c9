"""What daemon, command line and dashboard show to each other: frozen values, each with one word for each state.

They travel as plain data: :func:`plain` and :func:`read` are the only way in and out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from cattrs.errors import BaseValidationError
from cattrs.preconf.json import make_converter

from paradrop.base.exceptions import InvalidInput

T = TypeVar("T")


class Want(StrEnum):
    """What somebody asked a chute to be."""

    RUNNING = "running"
    STOPPED = "stopped"


class ChuteState(StrEnum):
    """What a chute is."""

    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class ChangeKind(StrEnum):
    DEPLOY = "deploy"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    REMOVE = "remove"


class ChangeState(StrEnum):
    """The life of a change; the last three are final."""

    ACCEPTED = "accepted"
    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"

    @property
    def final(self) -> bool:
        return self in (ChangeState.DONE, ChangeState.FAILED, ChangeState.ROLLED_BACK)


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    name: str
    state: ChuteState
    image: str = ""
    restarts: int = 0
    exit_code: int | None = None
    started: float | None = None
    """Seconds since the epoch."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChuteStatus:
    name: str
    version: str
    release: int
    """Counts the deploys of this chute on this device, from 1."""
    state: ChuteState
    want: Want
    description: str = ""
    since: float | None = None
    """Seconds since the epoch at which the oldest running service started."""
    web: str | None = None
    """Path of the chute's page on the device's site."""
    services: tuple[ServiceStatus, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    title: str
    state: StepState = StepState.WAITING
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    id: str
    kind: ChangeKind
    chute: str
    state: ChangeState
    created: float
    """Seconds since the epoch, like every time here."""
    version: str = ""
    actor: str = ""
    """Who asked: a person's name; ``local`` is whoever may open the control socket."""
    steps: tuple[StepRecord, ...] = ()
    reason: str = ""
    """Why it failed or was rolled back."""
    retry: bool = False
    """Whether the same change may succeed when asked again."""
    finished: float | None = None
    revision: int = 0
    """Grows with every update of this record: of two, the higher is the newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    name: str
    version: str = ""
    available: bool = True
    isolates: tuple[str, ...] = ()
    """What a chute is kept apart by, in words: ``files``, ``processes``, ``network``, ``memory`` …"""
    shares: tuple[str, ...] = ()
    """What it is not kept apart by, in words."""
    detail: str = ""


class UplinkState(StrEnum):
    """How a device stands to a server."""

    NONE = "not provisioned"
    CONNECTING = "connecting"
    ONLINE = "online"
    REFUSED = "refused"
    """The server does not take this device's key. It is asked again, slowly: an administrator may mend that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    state: UplinkState = UplinkState.NONE
    pdid: str | None = None
    server: str = ""
    """URL."""
    since: float | None = None
    """Seconds since the epoch: the beginning of *state*."""
    problem: str = ""
    """Why there is no link, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    name: str
    pdid: str | None
    version: str
    mode: str
    started: float
    now: float
    engine: EngineInfo
    site: str
    """URL of the device's web site."""
    chutes: int = 0
    running: int = 0
    system: str = ""
    """For example ``Debian GNU/Linux 12 (bookworm), Linux 6.1``."""
    machine: str = ""
    """For example ``x86_64``."""
    processors: int = 0
    load: float = 0.0
    """One-minute load average."""
    memory_total: int = 0
    """Bytes, like every size here."""
    memory_available: int = 0
    disk_total: int = 0
    disk_free: int = 0
    agent_memory: int = 0
    """Resident memory of paradropd."""
    uplink: Uplink = field(default_factory=Uplink)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    seq: int
    time: float
    text: str
    stream: str = "out"
    """``out``, ``err``, or a level name of the daemon's own log."""
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    source: str
    lines: tuple[LogLine, ...]
    cursor: int
    """Sequence number to pass as ``after`` for the next page."""
    more: bool
    """Whether there are lines after this page already."""
    missed: int = 0
    """How many lines after the asked cursor are gone, because the disk cap removed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    key: str
    value: Any
    default: Any
    source: str
    """``default``, ``list``, ``settings.ini`` or ``environment``."""
    description: str = ""
    restart: bool = True
    """Whether a new value is used only after a restart of the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureInfo:
    uri: str
    match: str
    owner: str
    """A chute's name, or ``paradropd``; whoever else has registered it, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One file of a chute's source."""

    path: str
    """Relative, with ``/``, normalised, without ``..``."""
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """A chute's source, by content: what ``chutes.deploy`` takes."""

    entries: tuple[TreeEntry, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    name: str
    version: str
    started: float
    now: float
    url: str
    devices: int = 0
    online: int = 0
    users: int = 0
    you: str = ""
    """The caller's name."""
    administrator: bool = False
    """Whether the caller is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as its server knows it."""

    pdid: str
    online: bool = False
    claimed: bool = False
    """Whether a device has taken this place, and proves itself with its key."""
    seen: float | None = None
    """When it was last online."""
    created: float = 0.0
    groups: tuple[str, ...] = ()
    role: str = ""
    """The caller's role on it."""
    waiting: int = 0
    """How many chutes wait for it, deployed while it was away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    scope: str
    """``server``, ``group:<name>`` or ``device:<pdid>``."""
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserKey:
    public_key: str
    """Hexadecimal."""
    added: float
    label: str = ""
    """Where it was enrolled, in its owner's words: mostly a host's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    name: str
    created: float = 0.0
    keys: tuple[UserKey, ...] = ()
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Devices that belong together: roles are granted on it, and their chutes may talk to each other."""

    name: str
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    subject: str
    """The pdid or the user's name."""
    token: str
    """Shown once, and kept nowhere."""
    expires: float
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What whoever accepts an invitation gets."""

    subject: str
    """The pdid or the user's name."""
    server: str
    """URL, as the server knows itself."""
    name: str = ""
    """The server's name, for people."""


class WantedState(StrEnum):
    WAITING = "waiting"
    """For the device to come back."""
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    """The device has taken it over as a change of its own; the change says how that ended."""
    FAILED = "failed"
    """The device refused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The newest of a chute that somebody deployed to a device while it was away, and what the device has."""

    pdid: str
    chute: str
    version: str
    state: WantedState
    by: str
    at: float
    change: str = ""
    """Id of the change, first the server's, then the device's."""
    reason: str = ""
    actual: str = ""
    """What the device last said of the chute: version and state, in words; empty when it has not got it."""
    actual_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    id: int
    at: float
    who: str
    """``user ada``, ``device acme.r1``, ``guest``, ``server``."""
    action: str
    """A procedure's short name, or ``login``, ``call``, ``register``, ``publish``, ``subscribe``."""
    what: str
    """What it was done to, or tried on."""
    allowed: bool
    detail: str = ""
    times: int = 1
    """How often the same was denied in a row."""


_converter = make_converter(detailed_validation=True)
_converter.register_unstructure_hook(StrEnum, lambda member: member.value)


def plain(value: Any) -> Any:
    """*value* as plain data (dicts, lists, strings, numbers) that any WAMP serializer takes."""
    return _converter.unstructure(value)


def read(kind: type[T], data: Any) -> T:
    """The inverse of :func:`plain`. Raises :class:`InvalidInput` when *data* is not a *kind*.

    Keys it does not know are left out: they come from a newer Paradrop.
    """
    try:
        return _converter.structure(data, kind)
    except (BaseValidationError, TypeError, ValueError, KeyError, AttributeError) as problem:
        raise InvalidInput(f"not a {kind.__name__}: {problem}") from problem
