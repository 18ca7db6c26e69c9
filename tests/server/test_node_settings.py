"""What an operator may write, and how a server's settings travel to its processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paradrop.base.exceptions import InvalidSettings
from pdserver.node import configuration
from pdserver.settings import ServerSettings, host_of, read_database, read_listen, read_url


def test_settings_pass_through_a_pipe_unchanged() -> None:
    settings = ServerSettings(
        home=Path("/srv/pd"), name="Köln", url="https://a:1", certificate=Path("/etc/c.pem"), key=Path("/etc/k.pem"), patience=2.5
    )
    assert ServerSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8443", ("", 8443)),
        (":8443", ("", 8443)),
        ("0.0.0.0:1", ("", 1)),
        ("*:1", ("", 1)),
        ("10.0.0.1:443", ("10.0.0.1", 443)),
        ("[::]:443", ("::", 443)),
        (" shop.example:65535 ", ("shop.example", 65535)),
    ],
)
def test_where_to_listen(text: str, expected: tuple[str, int]) -> None:
    assert read_listen(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:65536", "host:-1", "::1:443", "host:٣", "host:8443x"])
def test_where_nobody_can_listen(text: str) -> None:
    with pytest.raises(InvalidSettings, match="--listen"):
        read_listen(text)


@pytest.mark.parametrize(
    ("text", "expected", "host"),
    [
        ("https://shop.example", "https://shop.example", "shop.example"),
        ("https://Shop.Example:8443/", "https://shop.example:8443", "shop.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "2001:db8::1"),
    ],
)
def test_where_others_find_the_server(text: str, expected: str, host: str) -> None:
    assert read_url(text) == expected
    assert host_of(expected) == host


@pytest.mark.parametrize(
    "text",
    ["", "shop", "http://shop", "https://", "https://a:b", "https://a:99999", "https://a/b", "https://a?b", "https://u:p@a"],
)
def test_where_nobody_finds_a_server(text: str) -> None:
    with pytest.raises(InvalidSettings, match="--url"):
        read_url(text)


@pytest.mark.parametrize("text", ["postgresql://u:p@h/d", "sqlite:////var/x.db", "postgres://h/d"])
def test_databases(text: str) -> None:
    assert read_database(text) == text


@pytest.mark.parametrize("text", ["mysql://u:secret@h/d", "postgresql:secret", "secret", "sqlite://"])
def test_a_database_that_is_none_is_not_quoted(text: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_database(text)
    assert "secret" not in str(refused.value)


def test_the_database_is_not_in_what_is_shown_of_the_settings() -> None:
    settings = ServerSettings(home=Path("/srv"), name="a", url="https://a", database="postgresql://u:secret@h/d")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(("connections", "strangers"), [(65_024, 16_384), (16_384, 12_288), (512, 384)])
def test_strangers_cannot_take_every_connection(connections: int, strangers: int) -> None:
    settings = ServerSettings(home=Path("/srv/pd"), name="shop", url="https://a:1", connections=connections)
    assert settings.strangers_allowed == strangers
    assert str(strangers) in json.dumps(configuration(settings))
