"""``chute``: beginning one, and checking one, without a device."""

from __future__ import annotations

from pathlib import Path

import click

from paradrop.base.exceptions import InvalidManifest, InvalidSource
from paradrop.manifest import FILE_NAME, parse
from paradrop.source import scan
from pdtools.app import App, json_option
from pdtools.folder import FOLDER, begin, kinds, read_manifest, service_problems


@click.group()
def chute() -> None:
    """Begin a new chute, and check one. Needs no device."""


@chute.command(epilog="Example: pdtools chute init weather")
@click.argument("name")
@click.argument("folder", metavar="[DIR]", type=FOLDER, required=False)
@click.option("--kind", type=click.Choice(kinds()), default="light", show_default=True)
@click.pass_obj
def init(app: App, name: str, folder: Path | None, kind: str) -> None:
    """Write a small chute called NAME into DIR (a new folder NAME, when left out).

    A light chute is Python on the device's own base image; a normal one has a Dockerfile; a web one has a page.
    """
    folder = folder or Path(name)
    for path in begin(name, kind, folder):
        app.show.text(str(path))
    app.show.note(f"Next: pdtools deploy {folder}")


@chute.command(epilog="Example: pdtools chute validate chutes/hello")
@click.argument("folder", metavar="[DIR]", type=FOLDER, default=".")
@json_option
@click.pass_obj
def validate(app: App, folder: Path, as_json: bool) -> int:
    """Check the chute in DIR (here, when left out): every problem with its path. Ends with 2 when there is one."""
    found = problems(folder)
    if as_json:
        app.show.json({"valid": not found, "problems": found})
    elif found:
        for problem in found:
            app.show.error(problem)
    else:
        app.show.text(f"{folder / FILE_NAME} is valid.")
    return InvalidManifest.exit_code if found else 0


def problems(folder: Path) -> list[str]:
    """Everything that is wrong with the chute in *folder*, ``path: reason`` each."""
    try:
        manifest = parse(read_manifest(folder))
        return list(service_problems(manifest, scan(folder).tree))
    except InvalidManifest as invalid:
        return list(invalid.problems)
    except InvalidSource as invalid:
        return [str(invalid)]
