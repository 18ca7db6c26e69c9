"""Names at the border between a device's realm and its server's: tables, and what holds for every name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop import border, uris

PDID = "acme.r1"
SPACE = "org.paradrop.acme.r1."
LOCAL = uris.LOCAL


@pytest.mark.parametrize(
    ("here", "upstream"),
    [
        (f"{LOCAL}chute.hello.greet", f"{SPACE}chute.hello.greet"),
        (f"{LOCAL}node.info", f"{SPACE}node.info"),
        ("org.paradrop.localhost.x", "org.paradrop.localhost.x"),
        ("org.paradrop.acme.r2.chute.a.b", "org.paradrop.acme.r2.chute.a.b"),
        ("org.paradrop.server.info", "org.paradrop.server.info"),
        ("wamp.session.list", "wamp.session.list"),
    ],
)
def test_names_are_translated_in_the_devices_own_space_only(here: str, upstream: str) -> None:
    assert border.upwards(here, PDID) == upstream
    assert border.downwards(upstream, PDID) == here


@pytest.mark.parametrize(
    ("uri", "foreign"),
    [
        (f"{LOCAL}x", False),
        (f"{SPACE}x", False),
        ("org.paradrop.acme.r10.x", True),
        ("org.paradrop.acme.r2.x", True),
        ("org.paradrop.server.info", True),
        ("org.paradrop.", True),
        ("wamp.session.list", False),
        ("com.example.x", False),
    ],
)
def test_what_is_asked_for_upstream(uri: str, foreign: bool) -> None:
    assert border.is_foreign(uri, PDID) is foreign


@pytest.mark.parametrize(
    ("match", "uri", "here"),
    [
        ("exact", f"{SPACE}chute.a.b", ("exact", f"{LOCAL}chute.a.b")),
        ("exact", "org.paradrop.acme.r10.chute.a.b", None),
        ("prefix", SPACE, ("prefix", LOCAL)),
        ("prefix", f"{SPACE}chu", ("prefix", f"{LOCAL}chu")),
        ("prefix", "org.paradrop.", ("prefix", LOCAL)),
        ("prefix", "org.paradrop.acme.r1", ("prefix", LOCAL)),
        ("prefix", "", ("prefix", LOCAL)),
        ("prefix", "org.paradrop.acme.r2.", None),
        ("wildcard", "org.paradrop.acme..chute.hello.ticks", ("wildcard", f"{LOCAL}chute.hello.ticks")),
        ("wildcard", "org.paradrop...chute..", ("wildcard", f"{LOCAL}chute..")),
        ("wildcard", "org.paradrop.acme.r1", None),
        ("wildcard", "org.paradrop.beta..chute", None),
        ("odd", SPACE, None),
    ],
)
def test_the_part_of_a_pattern_that_lies_in_the_device(match: str, uri: str, here: tuple[str, str] | None) -> None:
    assert border.pattern_downwards(match, uri, PDID) == here


@pytest.mark.parametrize(
    ("match", "uri", "upstream"),
    [
        ("exact", f"{LOCAL}chute.hello.lamp", [("exact", f"{SPACE}chute.hello.lamp")]),
        ("exact", f"{LOCAL}chutes.updated", []),
        ("exact", "org.paradrop.acme.r2.chute.a.b", [("exact", "org.paradrop.acme.r2.chute.a.b")]),
        ("exact", f"{SPACE}chute.a.b", []),
        ("exact", "wamp.session.on_join", []),
        ("prefix", f"{LOCAL}chute.hello.", [("prefix", f"{SPACE}chute.hello.")]),
        ("prefix", LOCAL, [("prefix", f"{SPACE}chute.")]),
        ("prefix", f"{LOCAL}ch", [("prefix", f"{SPACE}chute.")]),
        ("prefix", f"{LOCAL}chutes.", []),
        ("prefix", "org.paradrop.acme.", [("prefix", "org.paradrop.acme.")]),
        ("prefix", "org.paradrop.", [("prefix", "org.paradrop."), ("prefix", f"{SPACE}chute.")]),
        ("prefix", "org.", []),
        ("prefix", "wamp.", []),
        ("wildcard", f"{LOCAL}chute..ticks", [("wildcard", f"{SPACE}chute..ticks")]),
        ("wildcard", f"{LOCAL}.hello.ticks", [("wildcard", f"{SPACE}chute.hello.ticks")]),
        ("wildcard", f"{LOCAL}chutes.", []),
        ("wildcard", "org.paradrop..chute.a.b", [("wildcard", f"{SPACE}chute.a.b"), ("wildcard", "org.paradrop..chute.a.b")]),
        ("wildcard", "org.paradrop.acme..chute.a.b", [("wildcard", "org.paradrop.acme..chute.a.b")]),
        ("wildcard", "wamp..x", []),
        ("wildcard", "org.paradrop", []),
        ("odd", LOCAL, []),
    ],
)
def test_what_to_listen_to_upstream_for_somebody_here(match: str, uri: str, upstream: list[tuple[str, str]]) -> None:
    assert border.patterns_upwards(match, uri, PDID) == upstream


component = st.text("abr012-_", min_size=1, max_size=4)
pdids = st.lists(component, min_size=1, max_size=3).map(".".join).filter(lambda pdid: pdid.split(".")[0] != "local")
names = st.lists(component, min_size=1, max_size=4).map(".".join)


@given(pdids, names)
def test_down_and_up_are_inverse(pdid: str, name: str) -> None:
    here, upstream = LOCAL + name, uris.device_space(pdid) + name
    assert border.upwards(here, pdid) == upstream
    assert border.downwards(upstream, pdid) == here
    assert border.downwards(border.upwards(here, pdid), pdid) == here


def matches(match: str, pattern: str, uri: str) -> bool:
    """WAMP, section "Pattern-based Subscriptions"."""
    if match == "wildcard":
        wanted, there = pattern.split("."), uri.split(".")
        return len(wanted) == len(there) and all(one in ("", other) for one, other in zip(wanted, there, strict=True))
    return uri.startswith(pattern) if match == "prefix" else uri == pattern


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """A pdid, a topic below it, and a pattern that was made from that topic or from another one."""
    pdid, topic = draw(pdids), draw(names)
    base = draw(
        st.sampled_from([uris.device_space(pdid) + topic, uris.device_space(pdid) + draw(names), uris.ROOT + draw(names)])
    )
    match = draw(st.sampled_from(["exact", "prefix", "wildcard"]))
    if match == "prefix":
        base = base[: draw(st.integers(0, len(base)))]
    if match == "wildcard":
        blank = draw(st.lists(st.booleans(), min_size=len(base.split(".")), max_size=len(base.split("."))))
        base = ".".join("" if empty else part for part, empty in zip(base.split("."), blank, strict=True))
    return pdid, topic, match, base


@given(cases())
def test_a_topic_is_relayed_exactly_when_the_pattern_upstream_matches_it(case: tuple[str, str, str, str]) -> None:
    pdid, topic, match, pattern = case
    here = border.pattern_downwards(match, pattern, pdid)
    relayed = here is not None and matches(*here, LOCAL + topic)
    assert relayed == matches(match, pattern, uris.device_space(pdid) + topic)


@given(cases())
def test_what_is_heard_here_is_listened_to_upstream(case: tuple[str, str, str, str]) -> None:
    """Of the topics of the device's own chutes: whatever matches on its realm arrives, spelled as upstream."""
    pdid, name, match, pattern = case
    pattern = border.downwards(pattern, pdid)
    topic = f"chute.{name}"
    if matches(match, pattern, LOCAL + topic) and pattern.startswith(uris.ROOT):
        upstream = border.patterns_upwards(match, pattern, pdid)
        assert any(matches(*each, uris.device_space(pdid) + topic) for each in upstream)
