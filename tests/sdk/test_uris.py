"""Names on the fabric: what a short name means, and what a chute may reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop import uris

names = st.from_regex(uris.NAME, fullmatch=True)
components = st.from_regex(uris.COMPONENT, fullmatch=True)
ACTIONS = ("call", "register", "publish", "subscribe")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("hello.greet", "org.paradrop.local.chute.hello.greet"),
        ("hello.deep.name", "org.paradrop.local.chute.hello.deep.name"),
        ("chutes.list", "org.paradrop.local.chutes.list"),
        ("chute.hello.greet", "org.paradrop.local.chute.hello.greet"),
        ("node.info", "org.paradrop.local.node.info"),
        ("org.paradrop.pd.acme.r1.chutes.list", "org.paradrop.pd.acme.r1.chutes.list"),
        ("wamp.session.count", "wamp.session.count"),
        ("chutes-of-mine.list", "org.paradrop.local.chute.chutes-of-mine.list"),
        ("organ.play", "org.paradrop.local.chute.organ.play"),
        ("org", "org.paradrop.local.chute.org"),
    ],
)
def test_a_short_name_means(name: str, uri: str) -> None:
    assert uris.resolve(name) == uri


@given(names.filter(lambda name: name not in uris.RESERVED_NAMES), components)
def test_a_name_below_a_chute_is_shown_as_it_is_written(chute: str, name: str) -> None:
    written = f"{chute}.{name}"
    assert uris.resolve(written) == uris.chute_space(chute) + name
    assert uris.short(uris.resolve(written)) == written


@given(st.sampled_from(sorted(uris.AREAS - {"chute"})), components)
def test_a_name_of_the_daemon_is_shown_as_it_is_written(area: str, verb: str) -> None:
    assert uris.short(uris.resolve(f"{area}.{verb}")) == f"{area}.{verb}"


def test_what_is_not_of_this_device_is_shown_whole() -> None:
    assert uris.short("org.paradrop.server.devices.list") == "org.paradrop.server.devices.list"


@pytest.mark.parametrize("text", ["a", "a.b", "A-b.c_d", "ö.x", "x" * 512])
def test_is_a_uri(text: str) -> None:
    assert uris.is_uri(text)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a#b", "a\nb", "a\n", "x" * 513])
def test_is_no_uri(text: str) -> None:
    assert not uris.is_uri(text)


def test_every_area_is_a_reserved_name() -> None:
    published = {value for name, value in vars(uris).items() if name.isupper() and isinstance(value, str)}
    areas = {value.partition(".")[0] for value in published if value.count(".") == 1 and not value.endswith(".")}
    assert areas
    assert areas <= uris.AREAS <= uris.RESERVED_NAMES


# What a chute may.


@given(names, components, st.sampled_from(ACTIONS), st.sampled_from(["exact", "prefix", "wildcard"]))
def test_a_chute_may_everything_in_its_own_space(chute: str, name: str, action: str, match: str) -> None:
    assert uris.chute_may(chute, (), action, uris.chute_space(chute) + name, match)


@given(names, names, components, st.sampled_from(ACTIONS))
def test_a_chute_may_nothing_in_anothers(chute: str, other: str, name: str, action: str) -> None:
    assert (chute == other) == uris.chute_may(chute, (), action, uris.chute_space(other) + name)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "uri",
    [
        "org.paradrop.local.chute.hello2.greet",
        "org.paradrop.local.chute.hello",
        "org.paradrop.local.chute.",
        "org.paradrop.local.chute",
        "org.paradrop.local.chutes.list",
        "org.paradrop.local.",
        "org.paradrop.",
        "",
        "wamp.session.list",
        "org.paradrop.pd.acme.chute.hello.greet",
        "com.example.hello",
        "org.paradrop.local.chute.HELLO.greet",
    ],
)
@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
def test_what_is_outside_the_chute_hello(action: str, uri: str, match: str) -> None:
    assert not uris.chute_may("hello", (), action, uri, match)


@pytest.mark.parametrize("action", ["call", "subscribe"])
def test_what_a_manifest_uses_may_be_called_and_subscribed_to(action: str) -> None:
    uses = ("weather.today", "clock.*", "node.info")
    for uri in ("chute.weather.today", "chute.clock.now", "chute.clock.deep.down", "node.info"):
        assert uris.chute_may("hello", uses, action, uris.local(uri))
    for uri in ("chute.weather.tomorrow", "chute.weather.today.now", "chute.clock2.now", "chute.clock", "node.reboot"):
        assert not uris.chute_may("hello", uses, action, uris.local(uri))


@pytest.mark.parametrize("action", ["register", "publish"])
def test_what_a_manifest_uses_may_not_be_registered_or_published(action: str) -> None:
    for uri in ("chute.weather.today", "chute.clock.now"):
        assert not uris.chute_may("hello", ("weather.today", "clock.*"), action, uris.local(uri))


def test_an_exact_use_opens_no_pattern() -> None:
    uri = uris.local("chute.weather.today")
    assert uris.chute_may("hello", ("weather.today",), "subscribe", uri, "exact")
    assert not uris.chute_may("hello", ("weather.today",), "subscribe", uri, "prefix")
    assert not uris.chute_may("hello", ("weather.today",), "subscribe", uri, "wildcard")


def test_a_wide_use_opens_patterns_below_it_only() -> None:
    for match in ("prefix", "wildcard"):
        assert uris.chute_may("hello", ("clock.*",), "subscribe", uris.local("chute.clock."), match)
        assert not uris.chute_may("hello", ("clock.*",), "subscribe", uris.local("chute.clock"), match)
        assert not uris.chute_may("hello", ("clock.*",), "subscribe", uris.local("chute..now"), match)
