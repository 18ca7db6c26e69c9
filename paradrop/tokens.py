"""Invitation tokens: what a person carries from a server to a device, or to their own machine.

A token is ``pd1.<id>.<secret>`` or ``pd1.<id>.<secret>.<ca>``: the last part is the certificate (DER) of the authority that the
server's own certificate was issued by, when that is none the system knows. Every part is base64url without padding (RFC 4648,
section 5).
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from dataclasses import dataclass, field

from paradrop.base.exceptions import InvalidInput

VERSION = "pd1"
PART = re.compile(r"[A-Za-z0-9_-]+")
LONGEST = 8192
"""Characters."""


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    secret: str = field(repr=False)
    authority: bytes = field(default=b"", repr=False)
    """The certificate (DER) to verify the server by; empty: by the system's authorities."""

    def __str__(self) -> str:
        parts = [VERSION, self.id, self.secret]
        if self.authority:
            parts.append(base64.urlsafe_b64encode(self.authority).rstrip(b"=").decode())
        return ".".join(parts)

    @property
    def authority_pem(self) -> str:
        """:attr:`authority` as PEM (RFC 7468), or nothing."""
        return ssl.DER_cert_to_PEM_cert(self.authority) if self.authority else ""

    @classmethod
    def read(cls, text: str) -> Token:
        """The inverse of ``str``. Raises :class:`InvalidInput` when *text* is no token; the message does not quote it."""
        parts = "".join(text.split()).split(".")
        if len(text) > LONGEST or len(parts) not in (3, 4) or parts[0] != VERSION or not all(map(PART.fullmatch, parts)):
            raise InvalidInput("that is not a token: it begins with pd1. and has three or four parts with dots between them")
        try:
            authority = base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4)) if len(parts) == 4 else b""
        except binascii.Error:
            raise InvalidInput("that is not a token: its last part is cut short") from None
        return cls(parts[1], parts[2], authority)
