"""Values travel as plain data and come back equal."""

from __future__ import annotations

import json
from dataclasses import fields
from enum import StrEnum
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop import values
from paradrop.base.exceptions import InvalidInput
from paradrop.values import (
    ChangeKind,
    ChangeRecord,
    ChangeState,
    ChuteStatus,
    LogLine,
    LogPage,
    NodeInfo,
    Setting,
    SourceTree,
    StepRecord,
    TreeEntry,
    plain,
    read,
)

text = st.text(max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False, width=32)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {str: text, float: number}
KINDS = [ChuteStatus, ChangeRecord, NodeInfo, LogPage, SourceTree, values.ProcedureInfo, values.Setting]


def of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Values of *kind*, every field drawn: no default is left as it is."""
    for simple, strategy in BY_TYPE.items():
        st.register_type_strategy(simple, strategy)
    drawn = {field.name: st.from_type(_hints(kind)[field.name]) for field in fields(kind)}
    if kind is Setting:
        plain_value = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
        drawn |= {"value": plain_value, "default": plain_value}
    return st.builds(kind, **drawn)


def _hints(kind: type[Any]) -> dict[str, Any]:
    from typing import get_type_hints

    return get_type_hints(kind)


@given(st.data(), st.sampled_from(KINDS))
def test_round_trip_by_json_and_by_cbor(data: st.DataObject, kind: type[Any]) -> None:
    value = data.draw(of(kind))
    assert read(kind, plain(value)) == value
    assert read(kind, json.loads(json.dumps(plain(value)))) == value
    assert read(kind, cbor2.loads(cbor2.dumps(plain(value)))) == value


def is_plain(data: Any) -> bool:
    match data:
        case dict():
            return all(type(key) is str and is_plain(item) for key, item in data.items())
        case list() | tuple():
            return all(is_plain(item) for item in data)
        case StrEnum():
            return False
        case _:
            return data is None or type(data) in (str, int, float, bool)


@given(st.data(), st.sampled_from(KINDS))
def test_plain_data_is_plain(data: st.DataObject, kind: type[Any]) -> None:
    assert is_plain(plain(data.draw(of(kind))))


def test_plain_data_reads_as_the_words_say() -> None:
    record = ChangeRecord(
        id="c1", kind=ChangeKind.DEPLOY, chute="hello", state=ChangeState.ROLLED_BACK, created=1.5, steps=(StepRecord(title="a"),)
    )
    told = plain(record)
    assert (told["kind"], told["state"], told["steps"][0]["state"]) == ("deploy", "rolled back", "waiting")


GOOD = {"seq": 1, "time": 1.0, "text": "x"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"seq": 1, "time": 1.0},
        {**GOOD, "seq": "many"},
        {**GOOD, "time": []},
    ],
    ids=str,
)
def test_what_is_no_value_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput, match="not a LogLine"):
        read(LogLine, data)


def test_what_is_well_formed_is_read() -> None:
    assert read(LogLine, GOOD) == LogLine(seq=1, time=1.0, text="x", stream="out", service="")


def test_an_unknown_word_is_refused() -> None:
    record = plain(ChangeRecord(id="c", kind=ChangeKind.STOP, chute="hello", state=ChangeState.DONE, created=0))
    with pytest.raises(InvalidInput):
        read(ChangeRecord, {**record, "state": "exploded"})


def test_a_deep_mistake_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read(SourceTree, {"entries": [plain(TreeEntry(path="a", size=1, sha256="0" * 64)), {"path": "b"}]})


@pytest.mark.parametrize("state", list(ChangeState))
def test_the_last_three_states_of_a_change_are_final(state: ChangeState) -> None:
    assert state.final == (state in list(ChangeState)[-3:])


def test_a_key_of_a_newer_paradrop_is_left_out() -> None:
    assert read(LogLine, {**GOOD, "colour": "red"}) == read(LogLine, GOOD)
