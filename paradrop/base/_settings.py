# ruff: noqa: RUF009 - _setting, _path and _size make dataclass fields, each its own
"""Every setting, with its default, its unit and its meaning: the one place where they are declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paradrop.values import Setting

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

AUTOMATIC: Any = object()
"""The default of a setting that follows from the mode, the home or the machine; see ``paradrop.base._resolve.automatic``."""


class Mode(StrEnum):
    """What the daemon runs as."""

    PRODUCTION = "production"
    """The device's own service, with the system's folders."""
    LOCAL = "local"
    """On somebody's machine, reached from that machine only."""
    UNITTEST = "unittest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a setting's value may be."""

    description: str
    kind: type
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    size: bool = False
    """Whether it is a number of bytes, which may be written ``64 MiB``."""
    operator: bool = True
    """Whether the list, the file and the environment may set it."""


def _setting(default: Any, description: str, kind: type | None = None, **rule: Any) -> Any:
    """A field of :class:`Settings`; *kind* is the default's type unless given."""
    metadata = {"rule": Rule(description=description, kind=kind or type(default), **rule), "default": default}
    return field(metadata=metadata)


def _path(description: str, **rule: Any) -> Any:
    return _setting(AUTOMATIC, description, Path, **rule)


def _size(default: int, description: str, least: int, most: int | None = None) -> Any:
    return _setting(default, f"{description}, in bytes", least=least, most=most, size=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force. Made by :func:`paradrop.base.settings.resolve`, which checks them; times are in seconds."""

    mode: Mode = _setting(Mode.LOCAL, "production, local or unittest: set with --mode", Mode, operator=False)
    home: Path = _path("folder of all state: set with --home, or PARADROP_HOME", operator=False)

    config_file: Path = _path("who this device is (YAML); default: HOME/info.yaml")
    key_dir: Path = _path("the device's keys; default: HOME/keys")
    log_dir: Path = _path("logs of the daemon and of all chutes; default: HOME/logs")
    data_dir: Path = _path("the chutes' own data; default: HOME/data")
    blob_dir: Path = _path("the chutes' sources, by content; default: HOME/blobs")
    database: Path = _path("chutes and changes (SQLite); default: HOME/paradrop.db")
    runtime_dir: Path = _path("sockets; default: HOME/run, or /run/paradrop in production")

    device_name: str = _setting(AUTOMATIC, "what people see; default: the host's name", str)
    portal_address: str = _setting("127.0.0.1", "address the web site listens on, in the clear; 0.0.0.0 is every one", str)
    portal_server_port: int = _setting(8080, "port of the web site; 0 takes a free one", least=0, most=65535)

    engine: str = _setting("auto", "what runs chutes; auto: docker when its socket answers, else process",
                           choices=("auto", "docker", "process", "memory"))  # fmt: skip
    docker_socket: str = _setting("unix:///var/run/docker.sock", "where Docker listens")
    base_images: Mapping[str, str] = _setting(
        "python3=paradrop/python3:1", "image of each base that light chutes name in use: pairs name=image, with commas", Mapping
    )
    settle: float = _setting(2.0, "seconds that a chute without a health check must stay up", least=0, most=600)
    stop_chutes: bool = _setting(False, "stop chutes when the daemon ends; it starts them again")
    stop_grace: float = _setting(10.0, "seconds from asking a chute to stop to making it stop", least=0, most=600)
    max_source_bytes: int = _size(256 * MIB, "largest source of a chute", least=1)
    max_source_files: int = _setting(10_000, "most files in the source of a chute", least=1)

    ping_interval: float = _setting(
        10.0, "seconds between two pings on a link of the device's realm; the uplink has its own", least=1, most=3600
    )
    ping_timeout: float = _setting(10.0, "seconds until a ping without an answer ends the link", least=1, most=3600)
    max_message_size: int = _size(4 * MIB, "largest WAMP message, from 1 MiB to 16 MiB", least=MIB, most=16 * MIB)
    uplink_transport: str = _setting("rawsocket", "how the server is reached; websocket passes where nothing else does",
                                     choices=("rawsocket", "websocket"))  # fmt: skip
    lean_router: bool = _setting(True, "keep packages that a router never uses out of memory")

    log_level: str = _setting("info", "least level that the daemon's own log keeps",
                              choices=("verbose", "info", "perf", "warn", "err"))  # fmt: skip
    log_cap: int = _size(64 * MIB, "disk that the log of one source may take", least=64 * KIB)
    log_segment: int = _size(8 * MIB, "size of one log file", least=16 * KIB)

    login_attempts: int = _setting(5, "wrong passwords per LOGIN_WINDOW", least=1)
    login_window: float = _setting(60.0, "seconds that a wrong password counts", least=1, most=86_400)
    token_lifetime: float = _setting(3600.0, "seconds that a login is good for", least=60, most=31_536_000)

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """For each setting that is not at its default, where its value comes from."""
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The defaults in this mode, home and machine."""

    def describe(self) -> tuple[Setting, ...]:
        """Every setting that an operator can change, and the mode and home, as plain values to show to a person."""
        from paradrop.values import Setting  # here, because cattrs is not among the SDK's dependencies

        return tuple(
            Setting(
                key=name,
                value=show(getattr(self, name)),
                default=show(self.defaults.get(name, getattr(self, name))),
                source=self.sources.get(name, "default"),
                description=rule.description,
            )
            for name, rule in RULES.items()
        )


RULES: Mapping[str, Rule] = {each.name: each.metadata["rule"] for each in dataclasses.fields(Settings) if each.metadata}
"""Every setting's rule, by its lower-case name, in the order of declaration."""

DEFAULTS: Mapping[str, Any] = {each.name: each.metadata["default"] for each in dataclasses.fields(Settings) if each.metadata}
"""Every setting's default, or :data:`AUTOMATIC`."""

SHOWN: Mapping[type, Callable[[Any], Any]] = {
    Path: str,
    Mode: str,
    Mapping: lambda pairs: ", ".join(f"{name}={value}" for name, value in pairs.items()),
}


def show(value: Any) -> Any:
    """*value* as a number, a boolean or a string that reads back as the same value."""
    for kind, shown in SHOWN.items():
        if isinstance(value, kind):
            return shown(value)
    return value
