"""Certificates a server makes for itself, held against a real TLS handshake in memory."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from paradrop.base.exceptions import InvalidSettings
from pdserver.certificates import AHEAD, BACK, Pair, check_time, issue, make_authority, names_of, read_pair, still_good
from pdserver.home import ServerHome
from pdserver.keyring import Keyring, names_of_machine, usable
from pdserver.settings import ServerSettings

NOW = datetime.datetime.now(datetime.UTC)
YEAR = datetime.timedelta(days=366)
NAMES = ["shop.example", "10.0.0.1", "::1", "localhost"]

AUTHORITY = make_authority("shop", NOW)


def settings(home: Path, **more: Path) -> ServerSettings:
    return ServerSettings(home=home, name="shop", url="https://shop.example:8443", **more)


@pytest.fixture
def home(tmp_path: Path) -> ServerHome:
    made = ServerHome(tmp_path / "h")
    made.make()
    return made


def shake_hands(pair: Pair, authority: Pair, name: str, folder: Path) -> None:
    """A TLS handshake; raises ``ssl.SSLError`` when the client does not like what it sees."""
    file = folder / "both.pem"
    file.write_bytes(pair.certificate_pem + b"".join(pair.chain_pem) + pair.key_pem)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(file)
    client_side = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    upwards, downwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(downwards, upwards, server_hostname=name)
    server = server_side.wrap_bio(upwards, downwards, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert(binary_form=True) == pair.der


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_knows_the_authority_accepts_every_name(name: str, tmp_path: Path) -> None:
    shake_hands(issue(AUTHORITY, NAMES, NOW), AUTHORITY, name, tmp_path)


def test_a_client_refuses_another_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(issue(AUTHORITY, NAMES, NOW), AUTHORITY, "other.example", tmp_path)


def test_a_client_refuses_another_authority_of_the_same_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(issue(AUTHORITY, NAMES, NOW), make_authority("shop", NOW), "localhost", tmp_path)


@pytest.mark.parametrize("off", [-9 * YEAR, 0 * YEAR, 25 * YEAR])
def test_it_is_good_for_a_clock_that_is_years_off(off: datetime.timedelta) -> None:
    for pair in (AUTHORITY, issue(AUTHORITY, NAMES, NOW)):
        check_time(pair, NOW + off, "it")


def test_made_before_the_clock_was_set_it_is_good_today() -> None:
    unset = datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)
    pair = make_authority("shop", unset)
    for moment in (unset, NOW, NOW + 20 * YEAR):
        check_time(pair, moment, "it")


@pytest.mark.parametrize("off", [-BACK - 3 * YEAR, AHEAD + YEAR])
def test_a_certificate_out_of_its_time_is_told(off: datetime.timedelta) -> None:
    with pytest.raises(InvalidSettings, match=r"site\.pem: the certificate (has expired|is not good before)"):
        check_time(AUTHORITY, NOW + off, "site.pem")


def test_a_certificate_is_kept_while_it_covers_what_is_wanted() -> None:
    pair = issue(AUTHORITY, NAMES, NOW)
    assert still_good(pair, AUTHORITY, NAMES, NOW)
    assert still_good(pair, AUTHORITY, ["localhost"], NOW), "an address that went away is no reason"
    assert not still_good(pair, AUTHORITY, [*NAMES, "new.example"], NOW)
    assert not still_good(pair, AUTHORITY, NAMES, NOW + AHEAD)
    assert not still_good(pair, make_authority("shop", NOW), NAMES, NOW)


def test_an_address_is_the_same_however_it_is_written() -> None:
    pair = issue(AUTHORITY, ["2001:db8:0:0::1"], NOW)
    assert names_of(pair.certificate) == {"2001:db8::1"}
    assert still_good(pair, AUTHORITY, ["2001:DB8::1"], NOW)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="neither a host name nor an address"):
        issue(AUTHORITY, ["a..b"], NOW)


def test_files_that_cannot_be_used_are_named() -> None:
    pair, other = issue(AUTHORITY, NAMES, NOW), issue(AUTHORITY, NAMES, NOW)
    with pytest.raises(InvalidSettings, match=r"c\.pem: that is no certificate"):
        read_pair(b"nonsense", pair.key_pem, "c.pem", "k.pem")
    with pytest.raises(InvalidSettings, match=r"k\.pem: that is no private key"):
        read_pair(pair.certificate_pem, b"nonsense", "c.pem", "k.pem")
    with pytest.raises(InvalidSettings, match=r"c\.pem and k\.pem do not belong together"):
        read_pair(pair.certificate_pem, other.key_pem, "c.pem", "k.pem")


def test_a_locked_key_is_told() -> None:
    pair = issue(AUTHORITY, NAMES, NOW)
    locked = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    with pytest.raises(InvalidSettings, match="locked with a passphrase"):
        read_pair(pair.certificate_pem, locked, "c.pem", "k.pem")


def test_a_key_never_says_itself() -> None:
    assert "PRIVATE" not in repr(AUTHORITY)
    assert "key=" not in repr(AUTHORITY)


def test_the_home_keeps_what_was_made(home: ServerHome) -> None:
    first = Keyring(home).serving(settings(home.root), NAMES, NOW)
    second = Keyring(home).serving(settings(home.root), NAMES, NOW)
    assert second.der == first.der
    assert Keyring(home).known_authority() == Keyring(home).authority("shop", NOW).der


def test_a_new_name_costs_a_new_certificate_and_no_new_authority(home: ServerHome, tmp_path: Path) -> None:
    first = Keyring(home).serving(settings(home.root), NAMES, NOW)
    authority = Keyring(home).authority("shop", NOW)
    second = Keyring(home).serving(settings(home.root), [*NAMES, "new.example"], NOW)
    assert second.der != first.der
    shake_hands(second, authority, "new.example", tmp_path)
    assert Keyring(home).authority("shop", NOW).der == authority.der


def test_keys_are_their_owners_only(home: ServerHome) -> None:
    Keyring(home).install(Keyring(home).serving(settings(home.root), NAMES, NOW))
    secret = [home.keys / "authority.pem", home.keys / "server.pem", home.node / "tls" / "key.pem"]
    assert [path.stat().st_mode & 0o777 for path in secret] == [0o600] * 3
    assert b"PRIVATE" not in home.authority.read_bytes()


def test_a_damaged_authority_is_told_and_not_replaced(home: ServerHome) -> None:
    Keyring(home).authority("shop", NOW)
    (home.keys / "authority.pem").write_bytes(b"nonsense")
    with pytest.raises(InvalidSettings, match=r"authority\.pem.*backup"):
        Keyring(home).serving(settings(home.root), NAMES, NOW)
    assert (home.keys / "authority.pem").read_bytes() == b"nonsense"


def test_an_operators_certificate_needs_its_key(home: ServerHome, tmp_path: Path) -> None:
    file = tmp_path / "site.pem"
    file.write_bytes(AUTHORITY.certificate_pem)
    with pytest.raises(InvalidSettings, match="--certificate needs --key"):
        Keyring(home).serving(settings(home.root, certificate=file), NAMES, NOW)
    with pytest.raises(InvalidSettings, match="--key needs --certificate"):
        Keyring(home).serving(settings(home.root, key=file), NAMES, NOW)


def test_an_operators_chain_is_laid_out_file_by_file(home: ServerHome, tmp_path: Path) -> None:
    pair = issue(AUTHORITY, NAMES, NOW)
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    certificate.write_bytes(pair.certificate_pem + AUTHORITY.certificate_pem)
    key.write_bytes(pair.key_pem)
    keyring = Keyring(home)
    shown = keyring.serving(settings(home.root, certificate=certificate, key=key), NAMES, NOW)
    keyring.install(shown)
    assert (home.node / "tls" / "certificate.pem").read_bytes() == pair.certificate_pem
    assert (home.node / "tls" / "chain-1.pem").read_bytes() == AUTHORITY.certificate_pem
    assert not home.authority.exists(), "no authority is made that nobody needs"


def test_the_machines_names_can_all_be_certified() -> None:
    names = names_of_machine("https://shop.example:8443", "10.9.8.7")
    assert {"shop.example", "10.9.8.7", "localhost", "127.0.0.1"} <= set(names)
    assert names_of(issue(AUTHORITY, names, NOW).certificate) >= {"shop.example", "10.9.8.7"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop.example", True),
        ("büro.example", True),
        ("my_box", True),
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("x" * 64, False),
        ("a..b", False),
    ],
)
def test_names_that_a_machine_may_have(name: str, expected: bool) -> None:
    assert usable(name) is expected
