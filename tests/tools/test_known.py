"""The servers a person knows, and their key, on the disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from paradrop.base.exceptions import AuthenticationError, InvalidInput, InvalidSettings
from paradrop.keys import Key
from pdtools.known import KnownServer, Servers, pick, tidy
from pdtools.target import Place

SHOP = KnownServer(name="shop", url="https://shop.example:8443", user="ada")
LAB = KnownServer(name="lab", url="https://10.0.0.5:8443", user="ada", authority="PEM")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("shop.example", "https://shop.example:8443"),
        (" 10.0.0.5:9000 ", "https://10.0.0.5:9000"),
        ("https://shop.example", "https://shop.example:8443"),
        ("https://Shop.Example:8443/", "https://shop.example:8443"),
        ("https://[fd00::1]:8443", "https://[fd00::1]:8443"),
        ("wss://shop.example:8443", "wss://shop.example:8443/ws"),
        ("wss://shop.example/deep/ws", "wss://shop.example:8443/deep/ws"),
    ],
)
def test_an_url_as_people_type_it(typed: str, url: str) -> None:
    assert tidy(typed) == url
    assert tidy(url) == url


@pytest.mark.parametrize(
    "typed", ["", "http://shop.example", "https://", "https://a:b@c", "shop example", "https://x:port", "x:99999"]
)
def test_what_is_no_servers_url(typed: str) -> None:
    with pytest.raises(InvalidInput, match="is not the URL of a server"):
        tidy(typed)


def test_a_session_joins_by_raw_sockets_unless_the_url_says_websocket() -> None:
    key = Key(bytes(32))
    assert SHOP.target(key).address == "rss://shop.example:8443"
    assert KnownServer(name="x", url="wss://x.example:443/ws", user="ada").target(key).address == "wss://x.example:443/ws"


def test_the_only_server_need_not_be_named() -> None:
    assert pick([SHOP], None) is SHOP
    assert pick([SHOP, LAB], "lab") is LAB
    assert pick([SHOP, LAB], "10.0.0.5:8443") is LAB
    assert pick([SHOP, LAB], "https://shop.example:8443/") is SHOP


def test_which_of_several_is_not_guessed() -> None:
    with pytest.raises(InvalidInput, match=r"--server and one of shop, lab"):
        pick([SHOP, LAB], None)


def test_no_server_and_an_unknown_one() -> None:
    with pytest.raises(AuthenticationError, match="pdtools server login"):
        pick([], None)
    with pytest.raises(AuthenticationError, match=r"'away'. Known: shop, lab"):
        pick([SHOP, LAB], "away")
    with pytest.raises(AuthenticationError, match="There is none yet"):
        pick([], "away")


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    return Servers(tmp_path / "config" / "paradrop")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_files_are_for_their_owner_only(servers: Servers, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "paradrop"
    key = servers.own_key()
    servers.remember("shop", SHOP.url, "ada", "PEM")
    assert [mode(folder), mode(folder / "key"), mode(folder / "servers.yaml")] == [0o700, 0o600, 0o600]
    assert servers.own_key().secret() == servers.key().secret() == key.secret()
    assert key.secret() not in repr(servers.known()[0].target(key))


def test_a_folder_that_was_open_is_closed(servers: Servers, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "paradrop"
    folder.mkdir(parents=True, mode=0o755)
    servers.own_key()
    assert mode(folder) == 0o700


def test_what_is_remembered_comes_back(servers: Servers) -> None:
    assert servers.known() == []
    lab = servers.remember("lab", LAB.url, "ada", "PEM\nPEM\n")
    shop = servers.remember("shop", SHOP.url, "ada", "")
    assert servers.known() == [lab, shop]
    servers.forget(lab)
    assert servers.known() == [shop]


def test_the_same_url_again_replaces_it(servers: Servers) -> None:
    servers.remember("shop", SHOP.url, "ada", "old")
    again = servers.remember("shop", SHOP.url, "bob", "new")
    assert servers.known() == [again]


def test_no_two_have_the_same_name(servers: Servers) -> None:
    servers.remember("shop", SHOP.url, "ada", "")
    other = servers.remember("shop", LAB.url, "ada", "")
    assert other.name == "10.0.0.5:8443"
    assert pick(servers.known(), other.name) == other
    assert servers.remember("", "https://new.example:1", "ada", "").name == "new.example:1"


def test_no_key_is_no_login(servers: Servers) -> None:
    with pytest.raises(AuthenticationError, match="pdtools server login"):
        servers.key()


def test_a_key_that_others_may_read_is_not_used(servers: Servers, tmp_path: Path) -> None:
    servers.own_key()
    (tmp_path / "config/paradrop/key").chmod(0o640)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        servers.key()


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 20, b"00" * 31])
def test_a_damaged_key_is_said_and_not_shown(servers: Servers, tmp_path: Path, content: bytes) -> None:
    servers.own_key()
    (tmp_path / "config/paradrop/key").write_bytes(content)
    with pytest.raises(InvalidSettings) as damaged:
        servers.own_key()
    assert content.decode("ascii", "replace") not in str(damaged.value) or not content


@pytest.mark.parametrize("content", [b"[", b"- 5", b"a: b", b"- {name: x}", b"\xff\xfe"])
def test_a_damaged_list_is_said(servers: Servers, tmp_path: Path, content: bytes) -> None:
    servers.remember("shop", SHOP.url, "ada", "")
    (tmp_path / "config/paradrop/servers.yaml").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"servers\.yaml"):
        servers.known()


@pytest.mark.parametrize(
    ("said", "folder"),
    [
        (None, "/home/ada/.config/paradrop"),
        ("/cfg", "/cfg/paradrop"),
        ("", "/home/ada/.config/paradrop"),
        ("rel", "/home/ada/.config/paradrop"),
    ],
)
def test_the_folder_follows_xdg(said: str | None, folder: str) -> None:
    place = Place(
        directory=Path("/"), home=Path("/home/ada"), uid=1, environment={} if said is None else {"XDG_CONFIG_HOME": said}
    )
    assert Servers.of(place)._folder == Path(folder)
