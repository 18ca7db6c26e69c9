"""Why a server's certificate was refused, in words. Needs pyOpenSSL, which a chute has not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.python.failure import Failure

NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
"""Of openssl-verification-options(1): ``X509_V_ERR_…``."""


class CertificateRefused(SSL.Error):
    """OpenSSL itself says no more than that the verification failed."""

    def __init__(self, number: int, valid: tuple[str, str]) -> None:
        """*number*: ``X509_V_ERR_…``; *valid*: from and to, as in the certificate."""
        self.number = number
        self.valid = valid
        super().__init__(f"certificate verify failed ({number})")


def tell_why(options: Any, refused: Callable[[Failure], None]) -> None:
    """Have *refused* told why a handshake with *options* (of ``optionsForClientTLS``) fails: :class:`CertificateRefused`, or
    ``VerificationError`` for a certificate of another name.

    It has to be told while it happens: Twisted (26.10) verifies in a callback of each connection, pyOpenSSL (26.4) keeps what
    that raises for itself, and a client's factory hears of the TCP connection only, which was closed.
    """
    make = options._createConnection

    def telling(protocol: Any) -> Any:
        connection = make(protocol)
        set_verify = connection.set_verify

        def set_telling(mode: int, callback: Any) -> None:
            def verify(connection: Any, certificate: Any, number: int, depth: int, good: int) -> bool:
                if not good:
                    between = (certificate.get_notBefore() or b"", certificate.get_notAfter() or b"")
                    refused(Failure(CertificateRefused(number, (_day(between[0]), _day(between[1])))))
                accepted = bool(callback(connection, certificate, number, depth, good))
                if good and not accepted:
                    refused(Failure(VerificationError([])))
                return accepted and bool(good)

            set_verify(mode, verify)

        connection.set_verify = set_telling
        return connection

    options._createConnection = telling


def explain(reason: Failure, now: float | None = None) -> str:
    """Why a connection could not be made, or ended, in words; *now* (seconds since the epoch) is this machine's time."""
    problem = reason.value
    clock = time.strftime("%Y-%m-%d", time.gmtime(now))
    if isinstance(problem, CertificateRefused):
        since, until = problem.valid
        if problem.number == EXPIRED:
            return f"the server's certificate expired on {until}, and this machine's clock says {clock}: one of them is wrong"
        if problem.number == NOT_YET_VALID:
            return f"the server's certificate is not valid before {since}, and this machine's clock says {clock}: set the clock"
        if problem.number in UNKNOWN_AUTHORITY:
            return "the server's certificate was issued by an authority that is neither the token's nor one this machine trusts"
        return f"the server's certificate was refused (OpenSSL's reason {problem.number})"
    if isinstance(problem, VerificationError):
        return "the server's certificate is for another name than that of the URL"
    if isinstance(problem, SSL.Error):
        return f"no TLS with that server: {_openssl(problem)}"
    if isinstance(problem, DNSLookupError):
        return "the name of the server is not known (DNS)"
    if isinstance(problem, (ConnectionDone, ConnectionLost)):
        return "the server closed the connection"
    if isinstance(problem, ConnectError):
        return f"no connection to the server: {' '.join(str(problem).split())}"
    return reason.getErrorMessage() or type(problem).__name__


def _day(moment: bytes) -> str:
    """``20261121035237Z`` (ASN.1 GeneralizedTime) → ``2026-11-21``."""
    text = moment.decode("ascii", "replace")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"


def _openssl(problem: SSL.Error) -> str:
    try:
        return "; ".join(reason for _, _, reason in problem.args[0] if reason) or "the handshake failed"
    except (IndexError, TypeError, ValueError):
        return str(problem) or "the handshake failed"
