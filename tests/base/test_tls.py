"""Why a server's certificate is refused, in words: real handshakes of the real client options, in memory."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from zope.interface import implementer

from paradrop.base._links import _verified
from paradrop.base.tls import explain
from pdserver.certificates import Pair, issue, make_authority

NOW = datetime.datetime.now(datetime.UTC)
DAY, YEAR = datetime.timedelta(days=1), datetime.timedelta(days=365)
HOST = "fleet.example"
TODAY = NOW.timestamp()

AUTHORITY = make_authority("fleet", NOW)
PEM = AUTHORITY.certificate_pem.decode()
OWN = issue(AUTHORITY, [HOST, "192.0.2.7"], NOW)


def between(since: datetime.datetime, until: datetime.datetime) -> Pair:
    """A certificate that the authority has issued for that time."""
    assert isinstance(AUTHORITY.key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=AUTHORITY.certificate.subject,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=since,
        not_valid_after=until,
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    return Pair(builder.sign(AUTHORITY.key, hashes.SHA256()), key)


@implementer(IOpenSSLServerConnectionCreator)
class Serving:
    """The server's side of TLS."""

    def __init__(self, pair: Pair) -> None:
        assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.use_certificate(pair.certificate)
        self._context.use_privatekey(pair.key)

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class Greeter(Protocol):
    """Says hello, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = reason


def shake_hands(shown: Pair, authority: str, host: str) -> tuple[bytes, list[Failure]]:
    """What a client of *host*, that trusts *authority* (PEM; the machine's own without), hears, and why it refuses."""
    refused: list[Failure] = []
    ends = [Greeter(), Greeter()]
    clock = Clock()
    contexts = (Serving(shown), _verified(host, authority, refused.append))
    protocols = []
    for end, context, is_client in zip(ends, contexts, (False, True), strict=True):
        factory = TLSMemoryBIOFactory(context, is_client, Factory.forProtocol(lambda end=end: end), clock)
        protocols.append(factory.buildProtocol(None))
    server, client = protocols
    pump = connect(server, FakeTransport(server, True), client, FakeTransport(client, False))
    for _ in range(20):
        pump.pump()
        clock.advance(0)
    return ends[1].heard, refused


@pytest.mark.parametrize("host", [HOST, "192.0.2.7"])
def test_the_authority_of_the_token_is_enough(host: str) -> None:
    assert shake_hands(OWN, PEM, host) == (b"hello", [])


NEITHER = "an authority that is neither the token's nor one this machine trusts"
EXPIRED, EARLY = between(NOW - 2 * YEAR, NOW - YEAR), between(NOW + YEAR, NOW + 2 * YEAR)
OTHER_PEM = make_authority("fleet", NOW).certificate_pem.decode()


@pytest.mark.parametrize(
    ("shown", "authority", "host", "words"),
    [
        pytest.param(OWN, OTHER_PEM, HOST, NEITHER, id="other authority"),
        pytest.param(OWN, "", HOST, NEITHER, id="no authority"),
        pytest.param(EXPIRED, PEM, HOST, f"expired on {NOW - YEAR:%Y-%m-%d}, and this machine's clock says", id="expired"),
        pytest.param(EARLY, PEM, HOST, f"is not valid before {NOW + YEAR:%Y-%m-%d}, and this machine's clock says", id="early"),
        pytest.param(OWN, PEM, "other.example", "is for another name than that of the URL", id="name"),
        pytest.param(OWN, PEM, "192.0.2.8", "is for another name than that of the URL", id="address"),
    ],
)
def test_a_refusal_says_what_is_wrong(shown: Pair, authority: str, host: str, words: str) -> None:
    heard, refused = shake_hands(shown, authority, host)
    assert heard == b""
    assert words in explain(refused[0], TODAY)
    if "clock" in words:
        assert f"{NOW:%Y-%m-%d}" in explain(refused[0], TODAY)


@pytest.mark.parametrize("off", [-YEAR, 0 * YEAR, YEAR], ids=["a year behind", "right", "a year ahead"])
def test_what_a_server_makes_for_itself_is_good_for_a_clock_that_is_a_year_off(off: datetime.timedelta) -> None:
    verify(OWN, NOW + off)


@pytest.mark.parametrize("off", [-YEAR, YEAR])
def test_and_that_would_be_noticed(off: datetime.timedelta) -> None:
    with pytest.raises(X509StoreContextError):
        verify(between(NOW - DAY, NOW + DAY), NOW + off)


def verify(pair: Pair, moment: datetime.datetime) -> None:
    """As OpenSSL does it on a machine whose clock says *moment*."""
    store = X509Store()
    store.add_cert(X509.from_cryptography(AUTHORITY.certificate))
    store.set_time(moment)
    X509StoreContext(store, X509.from_cryptography(pair.certificate)).verify_certificate()
