"""Ed25519 keys (RFC 8032) and how a session proves with one who it is (WAMP, section "Cryptosign-based Authentication").

Needs PyNaCl, which comes with the extras ``daemon``, ``server`` and ``tools``: a chute has no key.
"""

from __future__ import annotations

import re

from autobahn.wamp.types import Challenge
from nacl.signing import SigningKey

from paradrop.base.exceptions import AuthenticationError, InvalidInput

PUBLIC = re.compile(r"[0-9a-f]{64}")
"""A public key, hexadecimal."""


class Key:
    """A private key; it never says itself."""

    def __init__(self, seed: bytes) -> None:
        """*seed*: 32 bytes. Raises :class:`InvalidInput` otherwise."""
        if len(seed) != 32:
            raise InvalidInput("a private key has 32 bytes")
        self._key = SigningKey(seed)

    @classmethod
    def generate(cls) -> Key:
        return cls(bytes(SigningKey.generate()))

    @classmethod
    def read(cls, text: str) -> Key:
        """The inverse of :meth:`secret`. Raises :class:`InvalidInput`, without quoting *text*."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise InvalidInput("that is not a private key: 64 hexadecimal digits") from None

    def secret(self) -> str:
        """What to save, readable by its owner only."""
        return bytes(self._key).hex()

    @property
    def public(self) -> str:
        """Hexadecimal."""
        return bytes(self._key.verify_key).hex()

    @property
    def extra(self) -> dict[str, str]:
        """``authextra`` for joining."""
        return {"pubkey": self.public}

    def answer(self, challenge: Challenge) -> str:
        """The signature of a router's *challenge*, followed by the challenge. Raises :class:`AuthenticationError`."""
        try:
            nonce = bytes.fromhex(challenge.extra["challenge"])
        except (KeyError, TypeError, ValueError):
            raise AuthenticationError("the server's challenge is none") from None
        if challenge.method != "cryptosign" or len(nonce) != 32:
            raise AuthenticationError("the server asks for something else than a signature")
        return bytes(self._key.sign(nonce)).hex()
