"""The servers a person knows, and the keys for them, on the disk."""

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


def test_a_host_is_enough_when_there_is_one_server_on_it() -> None:
    local = [KnownServer(name=f"localhost:{port}", url=f"https://localhost:{port}", user="ada") for port in (18543, 18544)]
    assert pick([SHOP, LAB, local[0]], "localhost") is local[0]
    assert pick([SHOP, LAB], "SHOP.example") is SHOP
    with pytest.raises(InvalidInput, match="say one of localhost:18543, localhost:18544"):
        pick([SHOP, *local], "localhost")
    named = KnownServer(name="localhost", url="https://other.example:1", user="ada")
    assert pick([*local, named], "localhost") is named


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
    key = servers.own_key(SHOP.url, "PEM")
    shop = servers.remember("shop", SHOP.url, "ada", "PEM")
    file = servers.key_file(SHOP.url, "PEM")
    assert [mode(path) for path in (folder, folder / "servers.yaml", folder / "keys", file)] == [0o700, 0o600, 0o700, 0o600]
    assert list((folder / "keys").iterdir()) == [file]
    assert servers.own_key(SHOP.url, "PEM").secret() == servers.key(shop).secret() == key.secret()
    assert key.secret() not in repr(shop.target(key))


@pytest.mark.parametrize("inner", ["", "keys"])
def test_a_folder_that_was_open_is_closed(servers: Servers, tmp_path: Path, inner: str) -> None:
    folder = tmp_path / "config" / "paradrop" / inner
    folder.mkdir(parents=True, mode=0o755)
    servers.own_key(SHOP.url, "")
    assert mode(folder) == 0o700


ELSEWHERE = [
    (SHOP.url, ""),
    (SHOP.url, "PEM"),  # what is at an address today may be somebody else's than yesterday: another server, another key
    (SHOP.url, "another PEM"),
    ("https://shop.example:84", ""),
    ("https://shop.example:8444", "PEM"),
    ("wss://shop.example:8443/ws", "PEM"),
    ("wss://shop.example:8443/ws/a", ""),
    ("wss://shop.example:8443/ws-a", ""),
    ("wss://shop.example:8443/ws%2Fa", ""),
    ("wss://shop.example:8443/../ws", ""),
    ("https://[fd00::1]:8443", ""),
]


def test_each_server_has_a_key_of_its_own(servers: Servers, tmp_path: Path) -> None:
    keys = {servers.own_key(url, authority).public for url, authority in ELSEWHERE}
    assert len(keys) == len(ELSEWHERE)
    assert {servers.own_key(url, authority).public for url, authority in ELSEWHERE} == keys
    assert {path.parent for path in (tmp_path / "config").rglob("*") if path.is_file()} == {tmp_path / "config/paradrop/keys"}


def test_the_key_goes_with_its_server_and_no_other(servers: Servers) -> None:
    for known in (SHOP, LAB):
        servers.own_key(known.url, known.authority)
        servers.remember(known.name, known.url, known.user, known.authority)
    kept = servers.key(LAB).public
    servers.forget(SHOP)
    assert not servers.key_file(SHOP.url, SHOP.authority).exists()
    assert servers.key(LAB).public == kept
    servers.forget(SHOP)  # once more is no error
    assert servers.known() == [LAB]


def test_another_server_at_the_same_url_takes_the_place_of_the_first(servers: Servers) -> None:
    first = servers.own_key(LAB.url, "PEM").public
    servers.remember("lab", LAB.url, "ada", "PEM")
    second = servers.own_key(LAB.url, "another PEM").public
    lab = servers.remember("lab", LAB.url, "ada", "another PEM")
    assert first != second
    assert servers.key(lab).public == second
    assert not servers.key_file(LAB.url, "PEM").exists()


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


def test_a_key_that_is_gone(servers: Servers) -> None:
    with pytest.raises(AuthenticationError, match=f"pdtools server login {SHOP.url}"):
        servers.key(SHOP)


def test_a_key_that_others_may_read_is_not_used(servers: Servers) -> None:
    servers.own_key(SHOP.url, "")
    servers.key_file(SHOP.url, "").chmod(0o640)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        servers.key(SHOP)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 20, b"00" * 31])
def test_a_damaged_key_is_said_and_not_shown(servers: Servers, content: bytes) -> None:
    servers.own_key(SHOP.url, "")
    servers.key_file(SHOP.url, "").write_bytes(content)
    with pytest.raises(InvalidSettings) as damaged:
        servers.own_key(SHOP.url, "")
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
