"""Values as tables: the same value, with the same word for each state, that the daemon and the dashboard show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from paradrop import uris
from paradrop.values import (
    ChangeRecord,
    ChuteState,
    ChuteStatus,
    NodeInfo,
    ProcedureInfo,
    Setting,
    StepState,
    Uplink,
    UplinkState,
)
from pdtools.moment import clock_time, lasted
from pdtools.show import columns, facts, safe, state

MARKS = {StepState.WAITING: "·", StepState.RUNNING: "▸", StepState.DONE: "✓", StepState.FAILED: "✗"}
NOTHING = "-"


def node(info: NodeInfo) -> Table:
    """A device at a glance."""
    engine = f"{info.engine.name} {info.engine.version}".strip()
    lines: dict[str, Text] = {
        "device": Text(info.name, style="name"),
        "pdid": Text(info.pdid or "not provisioned"),
        **uplink(info.uplink, info.now),
        "paradropd": Text(f"{info.version}, {info.mode}, up {lasted(info.now - info.started)}, {decimal(info.agent_memory)}"),
        "chutes": Text(f"{info.running} of {info.chutes} running" if info.chutes else "none"),
        "engine": Text(engine) if info.engine.available else Text(f"{engine}: not available", style="state.failed"),
    }
    if info.engine.detail:
        lines["engine"] = lines["engine"] + Text(f" ({info.engine.detail})")
    if info.engine.isolates:
        lines["isolates"] = Text(", ".join(info.engine.isolates))
    if info.engine.shares:
        lines["shares"] = Text(", ".join(info.engine.shares), style="warn")
    lines["site"] = Text(info.site, style="link")
    lines["system"] = safe(", ".join(part for part in (info.system, info.machine) if part))
    lines["load"] = Text(f"{info.load:.2f} on {info.processors} processor{'s' if info.processors != 1 else ''}")
    lines["memory"] = Text(f"{decimal(info.memory_available)} free of {decimal(info.memory_total)}")
    lines["disk"] = Text(f"{decimal(info.disk_free)} free of {decimal(info.disk_total)}")
    return facts(lines)


def uplink(link: Uplink, now: float) -> dict[str, Text]:
    """How the device stands to its server, where it has one."""
    if link.state is UplinkState.NONE:
        return {}
    since = f" for {lasted(now - link.since)}" if link.since is not None else ""
    problem = f": {link.problem}" if link.problem else ""
    return {"server": Text(link.server, style="link"), "uplink": state(link.state).append(since + problem, style="default")}


def chutes(statuses: Sequence[ChuteStatus], now: float) -> Table:
    """Chutes, a line each; columns in which nobody has anything are left out."""
    web, detail = any(one.web for one in statuses), any(one.detail for one in statuses)
    names = ["name", "version", "state", "up", "services", "restarts"]
    table = columns(*names, *(["web"] if web else []), *(["detail"] if detail else []), wrap="detail")
    for one in statuses:
        row: list[Text] = [
            Text(one.name, style="name"),
            safe(one.version or NOTHING),
            state(one.state),
            Text(lasted(now - one.since) if one.since is not None else NOTHING),
            _services(one),
            Text(str(sum(service.restarts for service in one.services))),
        ]
        table.add_row(*row, *([Text(one.web or NOTHING)] if web else []), *([safe(one.detail)] if detail else []))
    return table


def _services(chute: ChuteStatus) -> Text:
    """How many of how many run."""
    running = sum(service.state is ChuteState.RUNNING for service in chute.services)
    return Text(f"{running}/{len(chute.services)}")


def services(chute: ChuteStatus, now: float) -> Table:
    """The services of one chute, a line each."""
    table = columns("service", "state", "up", "restarts", "exit", "image", "detail", wrap="detail")
    for one in chute.services:
        table.add_row(
            Text(one.name, style="name"),
            state(one.state),
            Text(lasted(now - one.started) if one.started is not None else NOTHING),
            Text(str(one.restarts)),
            Text(NOTHING if one.exit_code is None else str(one.exit_code)),
            safe(one.image or NOTHING),
            safe(one.detail),
        )
    return table


def changes(records: Sequence[ChangeRecord], now: float) -> Table:
    """Changes, a line each, in the order given."""
    table = columns("id", "when", "change", "chute", "version", "state", "took", "by", "reason", wrap="reason")
    for one in records:
        table.add_row(
            Text(one.id, style="name"),
            Text(f"{lasted(now - one.created)} ago"),
            Text(one.kind),
            Text(one.chute),
            safe(one.version or NOTHING),
            state(one.state),
            Text(lasted(one.finished - one.created) if one.finished is not None else NOTHING),
            safe(one.actor or NOTHING),
            safe(one.reason.partition("\n")[0]),
        )
    return table


def change(record: ChangeRecord) -> Table:
    """One change with all its steps."""
    lines: dict[str, Any] = {
        "change": Text(record.id, style="name"),
        "what": safe(f"{record.kind} {record.chute} {record.version}".rstrip()),
        "state": state(record.state),
        "asked": Text(clock_time(record.created) + (f" by {record.actor}" if record.actor else "")),
    }
    if record.finished is not None:
        lines["took"] = Text(lasted(record.finished - record.created))
    for number, step in enumerate(record.steps, 1):
        text = Text.assemble((f"{MARKS[step.state]} ", f"state.{step.state}"), safe(step.title))
        if step.started is not None and step.finished is not None:
            text.append(f"  {step.finished - step.started:.1f}s", style="quiet")
        lines[f"step {number}"] = text
    if record.reason:
        lines["reason"] = Text("\n").join(safe(line) for line in record.reason.splitlines())
    return facts(lines)


def settings(known: Sequence[Setting]) -> Table:
    """Settings, a line each; those that are not as shipped say from where they are."""
    table = columns("key", "value", "from", "description", wrap="description")
    for one in known:
        changed = one.source != "default"
        table.add_row(
            Text(one.key, style="name"),
            Text(value_text(one.value)),
            Text(one.source, style="" if changed else "quiet"),
            Text(one.description, style="quiet"),
        )
    return table


def value_text(value: Any) -> str:
    """A setting's value as ``settings.ini`` would have it."""
    if isinstance(value, list | tuple):
        return ", ".join(value_text(part) for part in value)
    return "" if value is None else str(value)


def procedures(known: Sequence[ProcedureInfo]) -> Table:
    """What can be called, by the short names that ``pdtools call`` takes."""
    table = columns("name", "owner", "match")
    for one in sorted(known, key=lambda one: (one.owner, one.uri)):
        table.add_row(Text(uris.short(one.uri), style="name"), Text(one.owner), Text(one.match, style="quiet"))
    return table


def people(known: Sequence[dict[str, Any]]) -> Table:
    table = columns("name", "role")
    for one in known:
        table.add_row(Text(str(one.get("name", "")), style="name"), Text(str(one.get("role", ""))))
    return table
