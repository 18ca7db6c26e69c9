"""Memory of the idle daemon, with the lean import of its router against the plain one."""

from __future__ import annotations

import json
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from bench.daemon import Client, daemon, versions
from bench.place import Place
from bench.report import Row, Section, Spread, Target
from twisted.internet.task import deferLater

from paradrop.base.seams import in_thread
from paradrop.manifest import parse

LIMIT = 90.0
"""Megabytes."""
PASSWORD = "correct horse battery"


async def measure(place: Place) -> Section:
    """PSS and RSS of the daemon alone (its chutes are other processes), one daemon at a time."""
    idle = 10.0 if not place.quick else 3.0
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(place.rounds(2, 1)):
        for lean in ("true", "false"):
            place.say(f"memory: lean router {lean}")
            figures = found.setdefault(lean, {})
            for name, value in (await _one(place, lean, idle)).items():
                figures.setdefault(name, []).append(value)
    rows = [
        Row(
            what=name,
            unit="MB",
            ours=Spread.of(values),
            against=Spread.of(found["false"][name]),
            target=Target(LIMIT, compared=False) if name.startswith("PSS") else None,
        )
        for name, values in found["true"].items()
    ]
    with_engine = f"engine {place.engine}" + (f" ({place.why}: no Docker client is in it)" if place.docker is None else "")
    return Section(
        name="memory",
        title="paradropd idle: realm, web site and engine up; lean router against LEAN_ROUTER:false",
        rows=tuple(rows),
        notes=(
            f"{with_engine}; idle for {idle:g} s before each look; 1 MB is 10⁶ bytes.",
            "PSS counts a page that n processes share as 1/n: the bench shares some of Python's. RSS counts it whole.",
        ),
    )


async def _one(place: Place, lean: str, idle: float) -> dict[str, float]:
    async with daemon(place, f"LEAN_ROUTER:{lean}") as running:
        client = await running.client()
        await deferLater(place.reactor, idle)
        figures = _memory(running.pid, "after start")
        await _log_in(client)
        with tempfile.TemporaryDirectory(prefix="pd-bench-") as folder:
            source, _ = versions(place.hello, Path(folder))
            await client.send(source)
            await client.deploy(source.tree)
            await deferLater(place.reactor, idle)
            figures |= _memory(running.pid, "after a login and a deploy")
            await client.remove(parse((Path(folder) / "one" / "paradrop.yaml").read_bytes()).name)
        await client.fabric.close()
        return figures


def _memory(pid: int, when: str) -> dict[str, float]:
    """Megabytes, from ``/proc/<pid>/smaps_rollup`` (proc(5); it counts in units of 1024 bytes)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    fields = {line.partition(":")[0]: line.split()[1] for line in rollup.splitlines()[1:]}
    return {f"{what} {when}": int(fields[name]) * 1024 / 1e6 for what, name in (("PSS", "Pss"), ("RSS", "Rss"))}


async def _log_in(client: Client) -> None:
    """Set the first password through the web site, and log in with it."""
    url, _, fragment = (await client.device.link())["url"].partition("#")
    (code,) = urllib.parse.parse_qs(fragment)["setup"]
    await in_thread(_post, f"{url}api/v1/first", {"code": code, "password": PASSWORD})
    await in_thread(_post, f"{url}api/v1/login", {"name": "owner", "password": PASSWORD})


def _post(url: str, body: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        answer.read()
