"""What of the device a chute's program needs to see: the system's programs and libraries, and the Python that Paradrop is in."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import autobahn
import cbor2
import twisted
import yaml

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


PREFIX = ("bin", "lib", "lib64", "pyvenv.cfg")
"""What of a virtual environment its Python needs (``venv``, "How venvs work")."""


def interpreter(image: Path) -> Path:
    """The Python for programs of *image*: its own when it has one, else the daemon's. Both can import ``paradrop``."""
    own = image / "venv" / "bin" / "python3"
    return own if own.exists() else Path(sys.executable)


def search_path(image: Path) -> str:
    """``PATH`` for programs of *image*."""
    return os.pathsep.join([f"{interpreter(image).parent}", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"])


def look(private: Iterable[Path], root: Path = Path("/")) -> View:
    """The view for this daemon. The folders *private*, where the device's and other chutes' files are, are hidden where they lie
    in a folder that is seen, and the Python is seen even when it lies in one of them."""
    links = {f"/{name}": str((root / name).readlink()) for name in ROOT_LINKS if (root / name).is_symlink()}
    plain = [root / name for name in ROOT_LINKS if (root / name).is_dir() and not (root / name).is_symlink()]
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent]
    package = Path(paradrop.__file__).parent
    # Where the SDK's dependencies are: not in the Python's own folder when a .pth file has led to them.
    dependencies = {Path(str(module.__file__)).parent.parent for module in (autobahn, cbor2, twisted, yaml)}
    etc = [root / "etc" / name for name in ETC]
    wanted = (root / "usr", *plain, *etc, *python, package, *dependencies)
    seen = [folder for folder in wanted if folder.exists() and folder != root]
    folders, hidden = layers(seen, private)
    return View(folders=folders, links=links, hidden=hidden, kernel=_kernel(root / "proc"))


def layers(seen: Iterable[Path], private: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """What to show and what to hide, each sorted from the outside in, without what already is so where it lies.

    Of a folder that is both, only what a Python needs is shown. Links are followed: a private folder is hidden in each place
    where it would be seen.
    """
    secret = [folder.resolve() for folder in private if folder.is_dir()]
    shown = [part for folder in seen for part in (_parts(folder) if folder.resolve() in secret else [folder])]
    covered = [
        folder / path.relative_to(folder.resolve()) for folder in seen for path in secret if path.is_relative_to(folder.resolve())
    ]
    kept: list[tuple[Path, bool]] = []
    every = {(path, True) for path in shown} | {(path, False) for path in covered}
    for path, show in sorted(every, key=lambda layer: (len(layer[0].parts), layer)):
        below = [state for other, state in kept if path.is_relative_to(other)]
        if (below[-1] if below else False) is not show:
            kept.append((path, show))
    return tuple(path for path, show in kept if show), tuple(path for path, show in kept if not show)


def _parts(folder: Path) -> list[Path]:
    return [folder / name for name in PREFIX if (folder / name).exists()]


def _kernel(proc: Path) -> tuple[Path, ...]:
    """What of ``/proc`` is not about a process and can be written to by root."""
    found = []
    for entry in sorted(entry for entry in proc.iterdir() if not entry.name.isdigit()):
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and mode & 0o222):
            found.append(entry)
    return tuple(found)
