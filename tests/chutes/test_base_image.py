"""The image that light chutes stand on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from paradrop_chutes.base.build_base import Recipe, build, default_cache, digest_of, main
from paradrop_chutes.base.debian import root_name
from paradrop_chutes.base.sdk import requirements, tags, write_project


def test_the_digest_knows_what_the_image_stands_on() -> None:
    assert digest_of(Recipe()) == digest_of(Recipe())
    assert len({digest_of(recipe) for recipe in (Recipe(), Recipe(suite="trixie"), Recipe(root="python:3.13"))}) == 3
    assert root_name("bookworm") != root_name("trixie")


def test_the_sdk_needs_none_of_the_extras() -> None:
    names = " ".join(requirements())
    assert "autobahn" in names
    for extra in ("crossbar", "docker", "click"):
        assert extra not in names


def test_the_sdk_is_a_project_of_its_own(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert (tmp_path / "paradrop" / "__init__.py").is_file()
    assert json.dumps(requirements()) in (tmp_path / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("libc", "first", "last"),
    [
        (("glibc", "2.36"), "manylinux_2_36_aarch64", "manylinux2014_aarch64"),
        (("", ""), "musllinux_1_2_aarch64", "musllinux_1_1_aarch64"),
    ],
)
def test_wheels_are_chosen_for_the_image(libc: tuple[str, str], first: str, last: str) -> None:
    found = list(tags({"machine": "aarch64", "libc": libc}))
    assert (found[0], found[-1]) == (first, last)


def test_no_docker_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert main(["--cache", str(tmp_path)]) == 1
    assert "Docker does not answer" in capsys.readouterr().err


@pytest.fixture
def client() -> Iterator[Any]:
    with closing(docker.from_env()) as client:
        yield client


@pytest.mark.needs("docker")
@pytest.mark.timeout(600)
def test_a_chute_can_import_the_sdk_and_is_nobody_special(client: Any) -> None:
    said: list[str] = []
    image = build(Recipe(), default_cache(), said.append)
    assert build(Recipe(), default_cache(), said.append) == image
    assert said[-1] == f"{image} is up to date"
    script = "import os; from paradrop import Chute; open('/data/x', 'w'); print(os.getuid(), Chute.__name__)"
    answer = client.containers.run(image, ["python3", "-c", script], remove=True, network_mode="none", cap_drop=["ALL"])
    assert answer.decode().split() == ["1000", "Chute"]
