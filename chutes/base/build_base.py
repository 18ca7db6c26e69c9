"""Make the image that light chutes stand on: ``paradrop/python3:1``, a small Python with the SDK in it.

    python -m paradrop_chutes.base.build_base [--from IMAGE] [--suite bookworm] [--cache DIR] [--refresh]

There need not be an image registry. Unless ``--from`` names an image to stand on, the root file system is made of Debian packages
by mmdebstrap. The SDK and what it needs are collected here, for the image's Python, because a build has no network everywhere.
The image carries a digest of everything that went into it: a second run finds it, and does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import docker.errors
from paradrop_chutes.base.debian import debian, root_name
from paradrop_chutes.base.running import BaseError, Say
from paradrop_chutes.base.sdk import collect, requirements, sources

SUITE = "bookworm"
"""The Debian release whose packages are taken: the oldest with a Python that the SDK runs on."""

TAG = "paradrop/python3:1"
"""The number grows when chutes made for the image before would not run on it."""

DIGEST_LABEL = "org.paradrop.base.digest"
PROBE = """
import importlib.util, json, platform, site
print(json.dumps({
    "version": platform.python_version(), "machine": platform.machine(), "libc": platform.libc_ver(),
    "site": site.getsitepackages()[0], "pip": importlib.util.find_spec("pip") is not None,
}))
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the image is made of."""

    suite: str = SUITE
    """The Debian release, when there is no *root*."""
    root: str = ""
    """The image to stand on."""
    tag: str = TAG


def build(recipe: Recipe, cache: Path, say: Say = print, *, refresh: bool = False) -> str:
    """Make the image, unless it is there, and return its name. Raises :class:`BaseError`.

    *cache* keeps the root file system between runs; *refresh* makes everything anew, with today's packages.
    """
    with closing(connect()) as client:
        return _build(client, recipe, cache, say, refresh)


def _build(client: Any, recipe: Recipe, cache: Path, say: Say, refresh: bool) -> str:
    digest = digest_of(recipe)
    if not refresh and found(client, recipe.tag) == digest:
        say(f"{recipe.tag} is up to date")
        return recipe.tag
    root = recipe.root or debian(client, recipe.suite, cache, say, refresh=refresh)
    with TemporaryDirectory(prefix="paradrop-base-") as name:
        context = Path(name)
        facts = probe(client, root, say)
        say(f"collecting the SDK for Python {facts['version']} on {facts['machine']}")
        collect(context, facts)
        shutil.copy(here() / "Dockerfile", context)
        say(f"building {recipe.tag}")
        before = client.images.list(name=recipe.tag)
        assemble(client, context, recipe.tag, {"ROOT": root, "SITE": facts["site"]}, {DIGEST_LABEL: digest})
    drop_replaced(client, before)
    size = client.images.get(recipe.tag).attrs["Size"] / 1e6
    say(f"{recipe.tag} is ready: {size:.0f} MB")
    return recipe.tag


def connect() -> Any:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as problem:
        raise BaseError(f"Docker does not answer: {problem}\nIs it installed and started, and may you use it?") from problem
    return client


def found(client: Any, tag: str) -> str | None:
    """The digest in the labels of the image that is there."""
    try:
        labels: dict[str, str] = client.images.get(tag).labels
    except docker.errors.ImageNotFound:
        return None
    return labels.get(DIGEST_LABEL)


def drop_replaced(client: Any, images: Sequence[Any]) -> None:
    """Delete the image that had the name before, unless a chute's image stands on it."""
    for image in images:
        image.reload()
        if not image.tags:
            with suppress(docker.errors.APIError):
                client.images.remove(image.id)


def here() -> Path:
    return Path(__file__).resolve().parent


def digest_of(recipe: Recipe) -> str:
    """sha-256 of all that decides what the image is."""
    digest = hashlib.sha256(json.dumps([recipe.root, root_name(recipe.suite), requirements()]).encode())
    for path in (*sources(), *sorted(here().glob("*.py")), here() / "Dockerfile"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def probe(client: Any, root: str, say: Say) -> dict[str, Any]:
    """What Python is in the image *root*, and where it looks for packages."""
    try:
        client.images.get(root)
    except docker.errors.ImageNotFound:
        say(f"pulling {root}")
    try:
        answer = client.containers.run(root, ["python3", "-c", PROBE], remove=True, network_mode="none", entrypoint="")
    except docker.errors.DockerException as problem:
        raise BaseError(f"the image {root} cannot be used: {problem}") from problem
    facts: dict[str, Any] = json.loads(answer)
    if tuple(map(int, facts["version"].split(".")[:2])) < (3, 11):
        raise BaseError(f"the image {root} has Python {facts['version']}; the SDK needs 3.11 or newer")
    return facts


def assemble(client: Any, context: Path, tag: str, arguments: dict[str, str], labels: dict[str, str]) -> None:
    """One ``docker build`` of the folder *context*, owned by root whoever made it."""

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(context, arcname=".", filter=owned_by_root)
    packed.seek(0)
    try:
        client.images.build(
            fileobj=packed, custom_context=True, tag=tag, buildargs=arguments, labels=labels, rm=True, forcerm=True
        )
    except docker.errors.BuildError as problem:
        lines = [str(message.get("stream", "")).rstrip() for message in problem.build_log]
        raise BaseError("\n".join([*filter(None, lines[-12:]), str(problem)])) from problem
    except docker.errors.DockerException as problem:
        raise BaseError(f"the build failed: {problem}") from problem


def default_cache() -> Path:
    """Where caches lie (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paradrop"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the base image of light Python chutes.")
    parser.add_argument(
        "--from", dest="root", default="", metavar="IMAGE", help="stand on this image, instead of on Debian packages"
    )
    parser.add_argument("--suite", default=SUITE, help="the Debian release to take packages of (default: %(default)s)")
    parser.add_argument("--tag", default=TAG, help="name of the image to make (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="where to keep what is slow to make")
    parser.add_argument("--refresh", action="store_true", help="make everything anew, with today's packages")
    chosen = parser.parse_args(arguments)
    try:
        build(Recipe(chosen.suite, chosen.root, chosen.tag), chosen.cache, partial(print, flush=True), refresh=chosen.refresh)
    except BaseError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
