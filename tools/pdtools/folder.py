"""A chute's folder on this machine: read, checked, begun."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import click

from paradrop.base.exceptions import Conflict, InvalidInput, InvalidSource
from paradrop.manifest import FILE_NAME, MAX_SIZE, Manifest, ServiceKind, parse
from paradrop.source import subtree
from paradrop.values import SourceTree

FOLDER = click.Path(path_type=Path)
TEMPLATE_END = ".tmpl"
DOCKERFILE = "Dockerfile"


def read_manifest(folder: Path) -> bytes:
    """The manifest in *folder*, as it stands there. Raises :class:`InvalidSource`."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            # One byte more than a manifest may have: enough for the parser to refuse it.
            return file.read(MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidSource(f"{folder}: has no {FILE_NAME}; `pdtools chute init` writes one") from None
    except OSError as problem:
        raise InvalidSource(f"{folder / FILE_NAME}: {problem.strerror}") from problem


def service_problems(manifest: Manifest, tree: SourceTree) -> Iterator[str]:
    """What *manifest* needs of the chute's folder and *tree* has not, ``path: reason`` each."""
    for service in manifest.services:
        below = subtree(tree, service.source)
        where = f"services.{service.name}.source"
        if service.kind is ServiceKind.IMAGE:
            continue
        if not below.entries:
            yield f"{where}: there are no files in {service.source!r}"
        elif service.kind is ServiceKind.NORMAL and all(entry.path != DOCKERFILE for entry in below.entries):
            yield f"{where}: there is no {DOCKERFILE} in {service.source!r}"


def kinds() -> list[str]:
    """The kinds of chute that :func:`begin` knows."""
    return sorted(entry.name for entry in _templates().iterdir() if entry.is_dir() and not entry.name.startswith("_"))


def begin(name: str, kind: str, folder: Path) -> list[Path]:
    """Write a small chute that works into *folder*; returns its files.

    Raises ``InvalidManifest`` when *name* cannot be a chute's, :class:`Conflict` when one of the files is there already (then
    none is written), :class:`InvalidInput` when the folder cannot be written.
    """
    texts = {
        folder / entry.name.removesuffix(TEMPLATE_END): Template(entry.read_text(encoding="utf-8")).substitute(name=name)
        for entry in sorted((_templates() / kind).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(TEMPLATE_END)
    }
    parse(texts[folder / FILE_NAME])
    if there := [path for path in texts if path.exists() or path.is_symlink()]:
        raise Conflict(f"{there[0]} is there already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as problem:
        raise InvalidInput(f"{problem.filename}: {problem.strerror}") from problem
    return list(texts)


def _templates() -> Traversable:
    return files("pdtools") / "templates"
