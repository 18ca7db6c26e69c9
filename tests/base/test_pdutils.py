"""The helpers, by what the reference says of each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop.base import pdutils
from paradrop.base.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (300, "5 mins"),
        (86400, "1 day"),
        (86705, "1 day, 5 mins, 5 sec"),
        (0, "0 sec"),
        (0.9, "0 sec"),
        (61, "1 min, 1 sec"),
        (3600, "1 hr"),
        (7200, "2 hrs"),
        (172800, "2 days"),
        (-60, "-1 min"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert pdutils.timedur(seconds) == words


def test_times() -> None:
    assert pdutils.timeflt(lambda: 12.75) == 12.75
    assert pdutils.timeint(lambda: 12.75) == 12
    assert pdutils.timestr(0.0).endswith(("1970", "1969"))
    assert len(pdutils.stimestr(0.0)) == len("1970-01-01 00:00:00")
    assert pdutils.timeflt() > 1e9


def test_json() -> None:
    assert pdutils.json2str({"b": 1, "a": [True]}) == '{"a": [true], "b": 1}'
    assert pdutils.json2str(object(), "no") == "no"
    assert pdutils.json2str(float("nan"), "no") == "no"
    assert pdutils.str2json('{"a": 1}') == {"a": 1}
    assert pdutils.str2json("{") is None
    assert pdutils.jsonPretty({"b": 1, "a": {"c": "ü"}}) == '{\n    "a": {\n        "c": "ü"\n    },\n    "b": 1\n}'


def test_convert_unicode_decodes_everything_inside() -> None:
    assert pdutils.convertUnicode({b"k": [b"\xc3\xbc", ("x", b"y"), 1]}) == {"k": ["ü", ("x", "y"), 1]}
    assert json.loads('{"a": {"b": "ü"}}', object_hook=pdutils.convertUnicode) == {"a": {"b": "ü"}}


def test_url_encoding_keeps_what_is_safe() -> None:
    assert pdutils.urlEncodeMe({"a/b": ['"c" d', 1, None]}) == {"a%2Fb": ["%22c%22 d", 1, None]}
    assert pdutils.urlEncodeMe("a/b c", safe="/") == "a/b%20c"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_url_encoding_is_undone(value: object) -> None:
    assert pdutils.urlDecodeMe(pdutils.urlEncodeMe(value)) == value


def test_explode() -> None:
    assert pdutils.explode({"a": 0, "b": 1}, "a", "b", "c") == (0, 1, None)
    assert pdutils.explode("not a dict", "a", "b") == (None, None)
    with pytest.raises(InvalidInput):
        pdutils.explode({"a": 0})


@pytest.mark.parametrize(
    ("pkt", "kind", "keys", "values", "reason"),
    [
        ({"a": 1}, dict, None, {}, None),
        ({"a": 1}, dict, ["a"], {"a": 1}, None),
        ({"a": [1]}, dict, ["a"], {"a": list}, None),
        ([1], dict, None, {}, "expected dict, got list"),
        ([1], list, None, {}, None),
        ([1], list, ["a"], {}, "expected keys, got list"),
        ({}, dict, ["a", "b"], {"a": 1}, "missing: a, b"),
        ({"a": 1}, dict, None, {"a": 2}, "a: expected 2, got 1"),
        ({"a": 1}, dict, None, {"a": list}, "a: expected list, got int"),
    ],
)
def test_check(pkt: object, kind: type, keys: list[str] | None, values: dict[str, object], reason: str | None) -> None:
    assert pdutils.check(pkt, kind, keys, **values) == reason


def test_dict2obj() -> None:
    thing = pdutils.dict2obj({"a": 1}, b=2)
    assert (thing.a, thing.b) == (1, 2)
    assert thing == pdutils.dict2obj(a=1, b=2)
    assert thing != pdutils.dict2obj(a=1)
    assert repr(thing) == "dict2obj({'a': 1, 'b': 2})"
    with pytest.raises(AttributeError, match="'c'"):
        _ = thing.c


def test_timer_measures_and_reports() -> None:
    said: list[str] = []
    ticks = iter([10.0, 10.25])
    with pdutils.Timer(key="build", report=said.append, clock=lambda: next(ticks)) as timer:
        assert timer.secs == 0.0
    assert (timer.secs, timer.msecs, said) == (0.25, 250.0, ["build: 250.000 ms"])


def test_a_quiet_timer_measures_an_error_too() -> None:
    said: list[str] = []
    ticks = iter([1.0, 2.0])
    timer = pdutils.Timer("x", False, report=said.append, clock=lambda: next(ticks))
    with pytest.raises(KeyError), timer:
        raise KeyError
    assert (timer.secs, said) == (1.0, [])


def test_timer_prints(capsys: pytest.CaptureFixture[str]) -> None:
    with pdutils.Timer():
        pass
    assert capsys.readouterr().out.startswith("elapsed: ")
