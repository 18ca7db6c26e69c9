"""A root file system of Debian packages, as an image: what a base stands on where there is no registry."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from paradrop_chutes.base.running import Say, run

PACKAGES = ("usr-is-merged", "python3-minimal", "libpython3-stdlib", "ca-certificates")
"""``usr-is-merged`` is there so that apt does not take usrmerge instead, which brings 50 MB of Perl (Debian 12)."""

LEFT_OUT = ("man", "doc", "info", "locale", "lintian", "bash-completion")
"""Folders of ``/usr/share`` that a chute has no use for."""


def root_name(suite: str) -> str:
    """The image's name; it changes with what the image is made of."""
    inputs = json.dumps([suite, PACKAGES, LEFT_OUT])
    return f"paradrop/{suite}-root:{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def debian(client: Any, suite: str, cache: Path, say: Say, *, refresh: bool) -> str:
    """The root file system of Debian packages, as an image."""
    name = root_name(suite)
    if not refresh and client.images.list(name=name):
        return name
    architecture = run("dpkg", "--print-architecture").strip()
    archive = cache / f"{name.rpartition('/')[2].replace(':', '-')}-{architecture}.tar"
    if refresh or not archive.exists():
        say(f"making a root file system of Debian {suite} packages (about half a minute)")
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="paradrop-mmdebstrap-") as tools:
            half = archive.with_suffix(".half.tar")
            run(*mmdebstrap(Path(tools)), *arguments(Path(tools)), suite, str(half))
            half.replace(archive)
    say(f"importing {archive}")
    repository, _, tag = name.rpartition(":")
    client.api.import_image(str(archive), repository=repository, tag=tag)
    return name


def mmdebstrap(tools: Path) -> Sequence[str]:
    """The command: the installed one, or one unpacked into *tools*. Perl and apt, which it needs, are on every Debian."""
    if shutil.which("mmdebstrap"):
        return ("mmdebstrap",)
    run("apt-get", "download", "mmdebstrap", cwd=tools)
    run("dpkg-deb", "-x", str(next(tools.glob("mmdebstrap_*.deb"))), str(tools))
    return ("perl", str(tools / "usr/bin/mmdebstrap"))


def arguments(tools: Path) -> Iterator[str]:
    share = "usr/share/mmdebstrap/hooks/merged-usr"
    hooks = tools / share
    yield from ("--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}")
    yield f"--hook-dir={hooks if hooks.exists() else Path('/') / share}"
    for folder in LEFT_OUT:
        yield f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
    yield "--dpkgopt=path-include=/usr/share/doc/*/copyright"
