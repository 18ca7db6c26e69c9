"""What is wanted on devices, and what they say they have, in the database. Every function here is the body of a transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, literal, select, update

from paradrop.base.exceptions import Conflict, InvalidInput, ModelNotFound, StorageFull
from pdserver.registry import devices
from pdserver.registry.names import askable, check_chute, clean, shown
from pdserver.registry.records import ActualRecord, WantedRecord, WantedState
from pdserver.registry.schema import actual, wanted

LONGEST = 1000
"""Characters of a version, a reason and the like."""
MOST_WAITING = 50
"""Chutes that wait for one device."""
LARGEST_WAITING = 32 << 20
"""Bytes of source trees that wait for one device: a tree of many small files is large in itself."""
MOST_ENDED = 50
"""Chutes of one device of which it is still known how handing them over ended."""
NO_TREE = "{}"
PENDING = (WantedState.WAITING.value, WantedState.DELIVERING.value)
"""The content of these is still needed."""


def want(
    connection: Connection,
    pdid: str,
    chute: str,
    version: str,
    tree: Mapping[str, Any],
    digest: str,
    by: str,
    now: float,
) -> WantedRecord:
    devices.require(connection, pdid)
    check_chute(chute)
    record = WantedRecord(
        id=f"w-{secrets.token_hex(8)}",
        pdid=pdid,
        chute=chute,
        version=clean(version, LONGEST),
        tree=tree,
        digest=clean(digest, LONGEST),
        by=clean(by, LONGEST),
        at=now,
    )
    row = _row(record)
    connection.execute(delete(wanted).where(wanted.c.pdid == pdid, wanted.c.chute == chute))
    _check_room(connection, pdid, len(str(row["tree"])))
    connection.execute(insert(wanted), row)
    ended = select(wanted.c.id).where(wanted.c.pdid == pdid, wanted.c.state.not_in(PENDING))
    too_old = list(connection.scalars(ended.order_by(wanted.c.at.desc()).offset(MOST_ENDED)))
    connection.execute(delete(wanted).where(wanted.c.id.in_(too_old)))
    return record


def _check_room(connection: Connection, pdid: str, size: int) -> None:
    waiting = select(func.count(), func.coalesce(func.sum(func.length(wanted.c.tree)), 0))
    count, used = connection.execute(waiting.where(wanted.c.pdid == pdid, wanted.c.state.in_(PENDING))).one()
    if count >= MOST_WAITING:
        raise Conflict(f"{count} chutes wait for {pdid} already, and no more may: let it come back, or forget some of them")
    if used + size > LARGEST_WAITING:
        raise StorageFull(f"file lists of more than {LARGEST_WAITING >> 20} MiB would wait for {pdid}; nothing was changed")


def of(connection: Connection, pdid: str | None) -> list[WantedRecord]:
    """Without the trees, which may be megabytes each."""
    columns = [literal(NO_TREE).label("tree") if column is wanted.c.tree else column for column in wanted.c]
    statement = select(*columns).order_by(wanted.c.pdid, wanted.c.chute)
    if pdid is not None:
        if not askable(pdid):
            return []
        statement = statement.where(wanted.c.pdid == pdid)
    return [_record(row) for row in connection.execute(statement)]


def by_id(connection: Connection, id: str) -> WantedRecord | None:
    """With its tree."""
    row = connection.execute(select(wanted).where(wanted.c.id == id)).one_or_none()
    return _record(row) if row is not None else None


def set_state(connection: Connection, id: str, state: WantedState, change: str, reason: str) -> WantedRecord | None:
    values: dict[str, object] = {"state": state.value, "reason": clean(reason, LONGEST)}
    if change:
        values["change_id"] = clean(change, LONGEST)
    if state.value not in PENDING:
        values["tree"] = NO_TREE  # nobody needs it any more
    connection.execute(update(wanted).where(wanted.c.id == id).values(values))
    return by_id(connection, id)


def forget(connection: Connection, pdid: str, chute: str) -> None:
    devices.require(connection, pdid)
    gone = delete(wanted).where(wanted.c.pdid == pdid, wanted.c.chute == check_chute(chute))
    if not connection.execute(gone).rowcount:
        raise ModelNotFound(f"nothing of the chute {shown(chute)} is wanted on {pdid}")


def digests(connection: Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    pending = select(wanted.c.pdid, wanted.c.tree).where(wanted.c.state.in_(PENDING))
    for pdid, tree in connection.execute(pending.execution_options(yield_per=1)):  # not all trees in memory at once
        found.setdefault(pdid, set()).update(entry["sha256"] for entry in json.loads(tree).get("entries", ()))
    return found


def remember_actual(connection: Connection, pdid: str, chutes: Sequence[Any], at: float) -> None:
    devices.require(connection, pdid)
    connection.execute(delete(actual).where(actual.c.pdid == pdid))
    connection.execute(insert(actual).values(pdid=pdid, chutes=_json(list(chutes)), at=at))


def actual_of(connection: Connection, pdid: str) -> ActualRecord | None:
    if not askable(pdid):
        return None
    row = connection.execute(select(actual).where(actual.c.pdid == pdid)).one_or_none()
    return ActualRecord(pdid=row.pdid, chutes=tuple(json.loads(row.chutes)), at=row.at) if row is not None else None


def _row(record: WantedRecord) -> dict[str, object]:
    return {
        "pdid": record.pdid,
        "chute": record.chute,
        "id": record.id,
        "version": record.version,
        "tree": _json(record.tree),
        "digest": record.digest,
        "author": record.by,
        "at": record.at,
        "state": record.state.value,
        "change_id": record.change,
        "reason": record.reason,
    }


def _record(row: Row[Any]) -> WantedRecord:
    return WantedRecord(
        id=row.id,
        pdid=row.pdid,
        chute=row.chute,
        version=row.version,
        tree=json.loads(row.tree),
        digest=row.digest,
        by=row.author,
        at=row.at,
        state=WantedState(row.state),
        change=row.change_id,
        reason=row.reason,
    )


def _json(data: Any) -> str:
    """Raises :class:`InvalidInput` for what is no plain data."""
    try:
        return json.dumps(data, separators=(",", ":"))
    except (TypeError, ValueError):
        raise InvalidInput("that is no plain data") from None
