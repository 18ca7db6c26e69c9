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
