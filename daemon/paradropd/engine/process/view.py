"""What of the device a chute's program needs to see: the system's programs and libraries, and the Python that Paradrop is in."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import paradrop

from .sandbox import View

ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders of the root that are links into ``/usr`` on a merged system, and folders on an older one."""

ETC = (
    "alternatives", "ca-certificates", "debian_version", "gai.conf", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd", "pki/tls/certs", "protocols",
    "resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
"""What of ``/etc`` programs read to find libraries, names and certificates. No secret is among it: ``ssl/private`` and
``shadow`` are left out, because the daemon's user may be allowed to read them."""


def interpreter(image: Path) -> Path:
    """The Python for programs of *image*: its own when it has one, else the daemon's. Both can import ``paradrop``."""
    own = image / "venv" / "bin" / "python3"
    return own if own.exists() else Path(sys.executable)


def search_path(image: Path) -> str:
    """``PATH`` for programs of *image*."""
    return os.pathsep.join([f"{interpreter(image).parent}", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"])


def look(home: Path, root: Path = Path("/")) -> View:
    """The view for this daemon. *home*, where other chutes' files are, is hidden when it lies in a folder that is seen."""
    links = {f"/{name}": str((root / name).readlink()) for name in ROOT_LINKS if (root / name).is_symlink()}
    plain = [root / name for name in ROOT_LINKS if (root / name).is_dir() and not (root / name).is_symlink()]
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent]
    package = Path(paradrop.__file__).parent
    etc = [root / "etc" / name for name in ETC]
    folders = outermost(folder for folder in (root / "usr", *plain, *etc, *python, package) if folder.exists() and folder != root)
    hidden = tuple(folder for folder in (home,) if any(folder.is_relative_to(seen) for seen in folders))
    return View(folders=folders, links=links, hidden=hidden, kernel=_kernel(root / "proc"))


def outermost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """*folders* without those that lie in another one of them, sorted."""
    kept: list[Path] = []
    for folder in sorted(set(folders), key=lambda path: (len(path.parts), path)):
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return tuple(kept)


def _kernel(proc: Path) -> tuple[Path, ...]:
    """What of ``/proc`` is not about a process and can be written to by root."""
    found = []
    for entry in sorted(entry for entry in proc.iterdir() if not entry.name.isdigit()):
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and mode & 0o222):
            found.append(entry)
    return tuple(found)
