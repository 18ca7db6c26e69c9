"""A chute's folder on the disk: walked without following links, and read file by file.

Looking comes before reading: a folder with too many or forbidden entries is refused before any content is read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paradrop.base.exceptions import InvalidSource
from paradrop.manifest import FILE_NAME
from paradrop.source.tree import SourceLimits, name_problem, path_problem, shown
from paradrop.values import SourceTree, TreeEntry

IGNORE_FILE = ".dockerignore"
ALWAYS_IGNORED = frozenset({".git", "__pycache__", ".venv", "node_modules"})
"""Left out wherever they are."""
NEVER_IGNORED = frozenset({FILE_NAME, "Dockerfile"})
"""Sent from every folder that is sent, whatever the ignore file says: nothing runs without them."""

MAX_IGNORE_FILE = 64 << 10
PIECE = 1 << 20
"""Bytes read at once."""

Ignores = Callable[[str], bool]
"""Whether a path relative to the chute's folder is left out; a folder's path ends with ``/``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    tree: SourceTree
    files: Mapping[str, Path]
    """Where to read each content, by its sha-256."""


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    content: Path
    size: int


def scan(folder: Path, limits: SourceLimits | None = None) -> Scan:
    """What a deploy of *folder* sends: every file of it that is not ignored, by content.

    A link to a file inside is sent as that file. Names in :data:`ALWAYS_IGNORED` and those that ``.dockerignore`` matches, by the
    rules of a ``.gitignore``, are left out; folders without files are not sent. Needs the ``tools`` extra (pathspec).

    Raises :class:`InvalidSource`, naming the path: there is no such folder or no manifest in it, something in it is neither a
    file nor a folder, a link leaves it, a name or a number is over the limits, a file cannot be read.
    """
    limits = limits or SourceLimits()
    try:
        root = folder.resolve(strict=True)
    except (OSError, RuntimeError) as problem:
        raise InvalidSource(f"{folder}: {_reason(problem)}") from problem
    if not root.is_dir():
        raise InvalidSource(f"{folder}: is not a folder")
    if not (root / FILE_NAME).exists():
        raise InvalidSource(f"{folder}: has no {FILE_NAME}; `pdtools chute init` writes one")
    found = sorted(_walk(root, _ignores(root), limits), key=lambda file: file.path)
    if sum(file.size for file in found) > limits.bytes:
        raise InvalidSource(f"{folder}: has more than {limits.bytes >> 20} MiB; list what is not needed in {IGNORE_FILE}")
    return _read_all(found, limits)


def read_piece(path: Path, offset: int, size: int) -> bytes:
    """Exactly *size* bytes of the file at *path* from *offset* on.

    Raises :class:`InvalidSource` when they are not there (any more): the file was changed since it was scanned.
    """
    with _opened(path, path.name) as descriptor:
        data = os.pread(descriptor, size, offset)
    if len(data) != size:
        raise InvalidSource(f"{path}: changed while it was being sent; deploy again")
    return data


def _walk(root: Path, ignores: Ignores, limits: SourceLimits) -> Iterator[_Found]:
    """Every file that will be sent. Stops at the first entry over the limits."""
    folders = [""]
    count = 0
    while folders:
        prefix = folders.pop()
        with _listed(root / prefix, prefix) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.name in ALWAYS_IGNORED:
                    continue
                if problem := name_problem(entry.name) or path_problem(path):
                    raise InvalidSource(f"{shown(path)}: {problem}")
                is_folder = entry.is_dir(follow_symlinks=False)
                if ignores(f"{path}/" if is_folder else path):
                    continue
                count += 1
                if count > limits.files:
                    raise InvalidSource(f"there are more than {limits.files} files; list what is not needed in {IGNORE_FILE}")
                if is_folder:
                    folders.append(f"{path}/")
                else:
                    yield _looked_at(root, path, entry)


def _looked_at(root: Path, path: str, entry: os.DirEntry[str]) -> _Found:
    """A regular file, or the file inside *root* that a link leads to."""
    content = root / path
    try:
        if entry.is_symlink():
            content = content.resolve(strict=True)
            if not content.is_relative_to(root):
                raise InvalidSource(f"{shown(path)}: is a link that leaves the folder")
            if content.is_dir():
                raise InvalidSource(f"{shown(path)}: is a link to a folder; only links to files are sent")
        status = content.stat(follow_symlinks=False)
    except (OSError, RuntimeError) as problem:
        raise InvalidSource(f"{shown(path)}: {_reason(problem)}") from problem
    if not stat.S_ISREG(status.st_mode):
        raise InvalidSource(f"{shown(path)}: is not a file (a device, a pipe or a socket)")
    return _Found(path, content, status.st_size)


def _read_all(found: list[_Found], limits: SourceLimits) -> Scan:
    """Sizes and digests are of the bytes read here, whatever they were when the folder was walked."""
    entries = []
    files: dict[str, Path] = {}
    left = limits.bytes
    for file in found:
        digest = hashlib.sha256()
        size = 0
        with _opened(file.content, file.path) as descriptor:
            executable = bool(os.fstat(descriptor).st_mode & stat.S_IXUSR)
            while data := os.read(descriptor, PIECE):
                digest.update(data)
                size += len(data)
                if size > left:
                    raise InvalidSource(f"{shown(file.path)}: grew beyond {limits.bytes >> 20} MiB while it was being read")
        left -= size
        entries.append(TreeEntry(path=file.path, size=size, sha256=digest.hexdigest(), executable=executable))
        files.setdefault(digest.hexdigest(), file.content)
    return Scan(tree=SourceTree(entries=tuple(entries)), files=files)


def _ignores(root: Path) -> Ignores:
    # Imported here: the device checks trees with this package and never walks a folder.
    from pathspec import GitIgnoreSpec

    lines: list[str] = []
    if (root / IGNORE_FILE).is_symlink() or (root / IGNORE_FILE).exists():
        with _opened(root / IGNORE_FILE, IGNORE_FILE) as descriptor:
            data = os.read(descriptor, MAX_IGNORE_FILE + 1)
        if len(data) > MAX_IGNORE_FILE:
            raise InvalidSource(f"{IGNORE_FILE}: is longer than {MAX_IGNORE_FILE >> 10} KiB")
        try:
            lines = data.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InvalidSource(f"{IGNORE_FILE}: is not UTF-8 text") from None
    try:
        patterns = GitIgnoreSpec.from_lines(lines)
    except ValueError as problem:
        raise InvalidSource(f"{IGNORE_FILE}: {problem}") from problem
    return lambda path: path.rpartition("/")[2] not in NEVER_IGNORED and patterns.match_file(path)


@contextmanager
def _listed(folder: Path, path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    try:
        entries = os.scandir(folder)
    except OSError as problem:
        raise InvalidSource(f"{shown(path)}: {_reason(problem)}") from problem
    with entries:
        yield entries


@contextmanager
def _opened(content: Path, path: str) -> Iterator[int]:
    """A descriptor of a regular file. Neither a link nor a pipe that was put there since the walk is opened or waited for."""
    try:
        descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise InvalidSource(f"{shown(path)}: {_reason(problem)}") from problem
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidSource(f"{shown(path)}: is not a file")
        yield descriptor
    except OSError as problem:
        raise InvalidSource(f"{shown(path)}: {_reason(problem)}") from problem
    finally:
        os.close(descriptor)


def _reason(problem: Exception) -> str:
    """What the system said, in our words where they are clearer. ``RuntimeError`` is Python 3.11's answer to a loop of links."""
    code = problem.errno if isinstance(problem, OSError) else errno.ELOOP
    words = {
        errno.ENOENT: "is not there",
        errno.ELOOP: "is a link that leads to itself or appeared while the folder was read",
        errno.EACCES: "cannot be read: permission denied",
    }
    return words.get(code or 0, f"cannot be read: {os.strerror(code or 0)}")
