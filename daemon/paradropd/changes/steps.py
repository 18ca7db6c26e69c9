"""The steps a change is made of: frozen values, each with the words a person sees."""

from __future__ import annotations

from dataclasses import dataclass

from paradropd.chutes.model import Chute, Release
from paradropd.engine.port import InstanceKey


@dataclass(frozen=True, slots=True)
class Build:
    """Make the image of one service."""

    release: Release
    service: str

    @property
    def title(self) -> str:
        return f"build {self.service}"


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask an instance to end, and wait for it; it stays as it is, ended."""

    key: InstanceKey

    @property
    def title(self) -> str:
        return f"stop {self.key.service}"


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """Give the chute its way to the fabric, with the permissions of that release."""

    release: Release

    @property
    def title(self) -> str:
        return "open the fabric"


@dataclass(frozen=True, slots=True)
class Start:
    release: Release
    service: str

    @property
    def title(self) -> str:
        return f"start {self.service}"


@dataclass(frozen=True, slots=True)
class AwaitHealthy:
    """Wait until the release is up and stays up, by its own health check or for the settling time."""

    release: Release

    @property
    def title(self) -> str:
        return "wait until it is healthy" if self.release.manifest.health else "see that it stays up"


@dataclass(frozen=True, slots=True)
class Record:
    """Write down that this is wanted from now on."""

    chute: Chute

    @property
    def title(self) -> str:
        return "remember it"


@dataclass(frozen=True, slots=True)
class RemoveInstance:
    key: InstanceKey

    @property
    def title(self) -> str:
        return f"clear away {self.key.service} of release {self.key.release}"


@dataclass(frozen=True, slots=True)
class CloseSocket:
    chute: str

    @property
    def title(self) -> str:
        return "close the fabric"


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete what the device keeps for the chute: its network, its records and, unless told otherwise, its data and log."""

    chute: str
    keep_data: bool = False
    keep_log: bool = False

    @property
    def title(self) -> str:
        return "forget it"


@dataclass(frozen=True, slots=True)
class Tidy:
    """Delete the releases, images and source that nobody needs any more."""

    chute: str

    @property
    def title(self) -> str:
        return "tidy up"


Step = Build | Stop | OpenSocket | Start | AwaitHealthy | Record | RemoveInstance | CloseSocket | Forget | Tidy
