"""The dashboard's files, and the headers that every answer of the site carries."""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

from hashlib import sha256
from typing import Any

from twisted.web.http import CACHED
from twisted.web.pages import errorPage, notFound
from twisted.web.resource import IResource
from twisted.web.server import Request
from twisted.web.static import File, getTypeAndEncoding

STRICT_HEADERS = {
    # ws: and wss: stand beside 'self' because older versions of Safari do not let 'self' mean the WebSocket of the same host.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
HASHED = b"assets"
"""The folder where the build puts files whose name contains a hash of their content."""
NOT_BUILT = "Run 'make run' in a checkout of Paradrop: it builds the dashboard."


class Dashboard(File):
    """The folder of built files, and the root of the site: what is mounted beside them is found first. Lists no folder."""

    childNotFound = notFound(message="There is no such page.")  # type: ignore[assignment]  # Twisted names its default's class

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(path, *args, **kwargs)
        self.defaultType = "application/octet-stream"

    def getChild(self, path: bytes, request: Request) -> IResource:
        if not path and request.prepath == [b""] and not self.child("index.html").isfile():
            return errorPage(503, "The dashboard is not built yet", NOT_BUILT)
        if b"\0" in path:  # no file system has such a name, and Python says so with a ValueError
            return self.childNotFound
        found: IResource = super().getChild(path, request)
        if isinstance(found, Dashboard) and found.isdir() and not request.postpath:
            return self.childNotFound
        return found

    def directoryListing(self) -> IResource:
        return self.childNotFound

    def render_GET(self, request: Request) -> bytes:
        """The file, as a whole: it is small. Its ETag is its content, because all files of a wheel may have the same date."""
        try:
            content: bytes = self.getContent()
        except OSError:
            request.setResponseCode(403)
            return b""
        hashed = request.prepath is not None and request.prepath[0] == HASHED
        request.setHeader("Cache-Control", "public, max-age=31536000, immutable" if hashed else "no-cache")
        kind, _ = getTypeAndEncoding(self.basename(), self.contentTypes, self.contentEncodings, self.defaultType)
        request.setHeader("Content-Type", kind)
        cached = request.setETag(b'"%b"' % sha256(content).hexdigest().encode()) is CACHED
        return b"" if cached else content

    render_HEAD = render_GET
