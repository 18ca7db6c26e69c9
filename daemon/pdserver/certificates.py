"""Certificates a server makes for itself: an authority of its own, and what it issues for the server's names.

A device's clock may be years off and must still get in, so what is made here is good from ten years back to thirty years ahead.
Nothing here touches a file; :mod:`pdserver.keyring` does. Formats: RFC 5280.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paradrop.base.exceptions import InvalidSettings

YEAR = datetime.timedelta(days=365.25)
BACK = 10 * YEAR
AHEAD = 30 * YEAR
SPARE = YEAR
"""A certificate of the server's own that ends sooner than this is issued anew."""
NEVER_BEFORE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
"""Whoever believes it is earlier has a clock that was never set."""
COMMON_NAME = 64
"""Characters at most (RFC 5280, ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, with what the certificate was issued by."""

    certificate: x509.Certificate
    key: PrivateKeyTypes = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def chain_pem(self) -> tuple[bytes, ...]:
        return tuple(each.public_bytes(serialization.Encoding.PEM) for each in self.chain)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def make_authority(name: str, now: datetime.datetime) -> Pair:
    """An authority that can issue certificates for servers, and not for other authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(f"Paradrop server {name}")
    builder = _begin(subject, subject, key.public_key(), now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Iterable[str], now: datetime.datetime) -> Pair:
    """A server's certificate, with a new key, for *names*: host names and IP addresses."""
    wanted = sorted(set(names))
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begin(_named(wanted[0] if wanted else "pdserver"), authority.certificate.subject, key.public_key(), now)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([general_name(name) for name in wanted]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    return Pair(builder.sign(_signer(authority), hashes.SHA256()), key)


def general_name(name: str) -> x509.GeneralName:
    """*name* as an IP address if it is one, or as a host name. Raises :class:`InvalidSettings`."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except (UnicodeError, ValueError):
        raise InvalidSettings(f"{name!r} is neither a host name nor an address") from None


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The host names and addresses it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = names.get_values_for_type(x509.DNSName)
    return frozenset([*hosts, *map(str, names.get_values_for_type(x509.IPAddress))])


def still_good(pair: Pair, authority: Pair, names: Iterable[str], now: datetime.datetime) -> bool:
    """Whether the server's own certificate needs no other: issued by *authority*, for all of *names*, and for a year to come."""
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, another one is issued
        return False
    wanted = {str(general_name(name).value) for name in names}
    in_time = pair.certificate.not_valid_before_utc <= now <= pair.certificate.not_valid_after_utc - SPARE
    return in_time and wanted <= names_of(pair.certificate) and _match(pair.certificate, pair.key)


def read_pair(certificate: bytes, key: bytes, certificate_name: str, key_name: str) -> Pair:
    """A certificate with what it was issued by after it, and its key, all PEM.

    Raises :class:`InvalidSettings`, naming the file that is wrong, and how; it never quotes the key.
    """
    try:
        found = x509.load_pem_x509_certificates(certificate)
    except ValueError:
        raise InvalidSettings(f"{certificate_name}: that is no certificate in PEM format") from None
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except TypeError:
        raise InvalidSettings(f"{key_name}: the key is locked with a passphrase, and nobody would be there to give it") from None
    except Exception:  # noqa: BLE001 - also the library's own UnsupportedAlgorithm
        raise InvalidSettings(f"{key_name}: that is no private key in PEM format") from None
    if not _match(found[0], private):
        raise InvalidSettings(f"{certificate_name} and {key_name} do not belong together: the key is not the certificate's")
    return Pair(found[0], private, tuple(found[1:]))


def check_time(pair: Pair, now: datetime.datetime, name: str) -> None:
    """Raises :class:`InvalidSettings` when the operator's certificate is not good at this time."""
    if now > pair.certificate.not_valid_after_utc:
        raise InvalidSettings(f"{name}: the certificate has expired on {pair.certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < pair.certificate.not_valid_before_utc:
        raise InvalidSettings(
            f"{name}: the certificate is not good before {pair.certificate.not_valid_before_utc:%Y-%m-%d}; is the clock right?"
        )


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, NEVER_BEFORE) - BACK)
        .not_valid_after(max(now, NEVER_BEFORE) + AHEAD)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:COMMON_NAME])])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _match(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def _signer(authority: Pair) -> CertificateIssuerPrivateKeyTypes:
    if not isinstance(authority.key, ec.EllipticCurvePrivateKey):
        raise InvalidSettings("the authority's key is none of ours: it must be an elliptic curve's")
    return authority.key
