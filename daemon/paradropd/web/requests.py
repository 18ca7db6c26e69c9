"""A request to the site as it comes in: how large it may be, by where it goes, and what its answer carries whoever makes it."""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from twisted.web.http import RESPONSES
from twisted.web.server import Request

from paradropd.web.errors import Answer
from paradropd.web.pages import STRICT_HEADERS

MOST_BODY = 16 * 1024
"""Bytes of a request's body, as a rule."""
MOST_UPLOAD = 16 * 1024 * 1024
"""Bytes of a request's body for the page of a chute."""
MOST_UPLOADS = 128 * 1024 * 1024
"""Bytes of all bodies for pages of chutes that are kept at a time: they lie in temporary files until they are answered."""
UPLOADS = b"/chutes/"

TOO_LARGE = Answer(status=413, code="request_entity_too_large", message="the body of the request is too large")
TOO_MUCH = Answer(
    status=503,
    code="service_unavailable",
    message="too much is being uploaded at this moment",
    retry=True,
    headers=(("Retry-After", "10"),),
)


class Uploads:
    """The bytes of all uploads that the site keeps now.

    What was announced and has not come does not count: else a few requests that send nothing would lock everybody out.
    """

    def __init__(self, most: int = MOST_UPLOADS) -> None:
        self._most = most
        self.kept = 0

    def take(self, size: int) -> bool:
        """Whether there is room for *size* bytes more; if so, they are kept until they are given back."""
        if self.kept + size > self._most:
            return False
        self.kept += size
        return True

    def give_back(self, size: int) -> None:
        self.kept -= size


class LimitedRequest(Request):
    """A request whose body is limited while it comes in, and whose answer carries the strict headers."""

    defaultContentType = None
    """Twisted would call everything HTML that does not say what it is."""
    refused = False
    _uploads: Uploads | None = None
    """Where this body is counted; nowhere when it is small by its kind."""
    _most = MOST_BODY
    _came = 0

    def gotLength(self, length: int | None) -> None:
        # Twisted 26.10 tells the request its path only when the body is there; the channel knows it now.
        channel: Any = self.channel
        if channel._path.startswith(UPLOADS):
            self._most = MOST_UPLOAD
            self._uploads = channel.site.uploads
            self.notifyFinish().addBoth(self._give_back)
        if length is not None and length > self._most:
            self._refuse(TOO_LARGE)
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        if self.refused:
            return
        if self._came + len(data) > self._most:
            self._refuse(TOO_LARGE)
        elif self._uploads is not None and not self._uploads.take(len(data)):
            self._refuse(TOO_MUCH)
        else:
            self._came += len(data)
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self.refused:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        for name, value in STRICT_HEADERS.items():
            self.setHeader(name, value)
        super().process()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """Set the status. Twisted 26.10 has no words for those of RFC 6585, 429 among them; the standard library has."""
        if message is None and code not in RESPONSES and code in set(HTTPStatus):
            message = HTTPStatus(code).phrase.encode()
        super().setResponseCode(code, message)

    def _refuse(self, answer: Answer) -> None:
        """Answer before the body has come, and take no more of it."""
        self.refused = True
        if self.content is not None:
            self.content.close()
        self.channel.write(_alone(answer))
        self.channel.loseConnection()

    def _give_back(self, _: object) -> None:
        assert self._uploads is not None
        self._uploads.give_back(self._came)


def _alone(answer: Answer) -> bytes:
    """*answer* as the last thing that is said on a connection."""
    body = json.dumps(answer.plain()).encode()
    headers = {
        **STRICT_HEADERS,
        **dict(answer.headers),
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
