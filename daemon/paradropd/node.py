"""Facts about the machine and the daemon on it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from paradrop.base.seams import WallClock
from paradrop.values import ChuteState, ChuteStatus, NodeInfo, Uplink
from paradropd.engine.port import Engine


def system() -> str:
    """For example ``Debian GNU/Linux 12 (bookworm), Linux 6.1.0``."""
    kernel = f"{platform.system()} {platform.release().split('-')[0]}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


class Node:
    """Tells how this device is."""

    def __init__(
        self,
        *,
        name: str,
        pdid: Callable[[], str | None],
        version: str,
        mode: str,
        home: Path,
        site: Callable[[], str],
        wall: WallClock,
        engine: Engine,
        chutes: Callable[[], Iterable[ChuteStatus]],
        uplink: Callable[[], Uplink] = Uplink,
    ) -> None:
        self._name = name
        self._pdid = pdid
        self._version = version
        self._mode = mode
        self._home = home
        self._site = site
        self._wall = wall
        self._engine = engine
        self._chutes = chutes
        self._uplink = uplink
        self._started = wall()
        self._process = psutil.Process()

    async def info(self) -> NodeInfo:
        chutes = list(self._chutes())
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._home))
        return NodeInfo(
            name=self._name,
            pdid=self._pdid(),
            version=self._version,
            mode=self._mode,
            started=self._started,
            now=self._wall(),
            engine=await self._engine.info(),
            site=self._site(),
            chutes=len(chutes),
            running=sum(chute.state is ChuteState.RUNNING for chute in chutes),
            system=system(),
            machine=platform.machine(),
            processors=os.cpu_count() or 1,
            load=os.getloadavg()[0],
            memory_total=memory.total,
            memory_available=memory.available,
            disk_total=disk.total,
            disk_free=disk.free,
            agent_memory=self._process.memory_info().rss,
            uplink=self._uplink(),
        )
