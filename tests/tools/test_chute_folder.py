"""``chute init`` and ``chute validate``."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from paradrop.manifest import ServiceKind, parse
from paradrop.testing import MemoryFabric
from pdtools.folder import kinds
from pdtools.testing import Bench

KINDS = kinds()


def test_the_kinds() -> None:
    assert KINDS == ["light", "normal", "web"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_begun_is_valid(bench: Bench, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "new" / "weather"
    result = bench.run("chute", "init", "weather", str(folder), "--kind", kind)
    assert result.code == 0
    assert result.out.splitlines() == [str(path) for path in sorted(folder.iterdir())]
    manifest = parse((folder / "paradrop.yaml").read_bytes())
    assert manifest.name == "weather"
    assert (manifest.services[0].kind is ServiceKind.NORMAL) == (kind == "normal")
    assert (manifest.web is not None) == (kind == "web")
    assert bench.run("chute", "validate", str(folder)).out == f"{folder / 'paradrop.yaml'} is valid.\n"
    assert not any("$" in path.read_text() for path in folder.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_begun_works(bench: Bench, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run("chute", "init", "weather", str(tmp_path / "w"), "--kind", kind)
    monkeypatch.setenv("PARADROP_CHUTE_NAME", "weather")
    module = runpy.run_path(str(tmp_path / "w" / "main.py"))
    fabric = MemoryFabric()
    fabric.join(module["chute"])
    if kind == "web":
        fabric.call("weather.say", "<b>")
        assert module["said"] == ["<b>"]
    else:
        assert fabric.call("weather.greet", "World") == "Hello, World!"
        fabric.clock.advance(1)
        assert fabric.events_of("weather.ticks") == [(1,), (2,)]


def test_nothing_is_overwritten(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("mine")
    result = bench.run("chute", "init", "weather", str(tmp_path))
    assert result.code == 1
    assert "is there already" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["main.py"]
    assert (tmp_path / "main.py").read_text() == "mine"


def test_a_link_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "README.md").symlink_to(tmp_path / "elsewhere")
    assert bench.run("chute", "init", "weather", str(tmp_path / "w")).code == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["../../x", "A B", "chutes", "x" * 64, "9", "a:b"])
def test_a_name_that_is_none(bench: Bench, tmp_path: Path, name: str) -> None:
    result = bench.run("chute", "init", name, str(tmp_path / "w"))
    assert result.code == 2
    assert "name: " in result.err
    assert not (tmp_path / "w").exists()


def test_a_folder_that_cannot_be_made(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = bench.run("chute", "init", "weather", str(tmp_path / "file" / "w"))
    assert result.code == 2
    assert result.err.startswith("Error: ")


def test_every_problem_is_named_with_its_path(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "paradrop.yaml").write_text("name: A B\nversion: '1'\nservices: {main: {type: strange}}\n")
    result = bench.run("chute", "validate", str(tmp_path))
    assert (result.code, result.out) == (2, "")
    assert [line.split(":")[1].strip() for line in result.err.splitlines()] == ["name", "services.main.type"]
    as_json = json.loads(bench.run("chute", "validate", str(tmp_path), "--json").out)
    assert as_json["valid"] is False
    assert len(as_json["problems"]) == 2


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("{type: normal}", "services.main.source: there is no Dockerfile in '.'"),
        ("{type: normal, source: app}", "services.main.source: there are no files in 'app'"),
        ("{type: light, image: python3, command: x, source: app}", "services.main.source: there are no files in 'app'"),
    ],
)
def test_what_a_service_is_built_from_must_be_there(bench: Bench, tmp_path: Path, service: str, said: str) -> None:
    (tmp_path / "paradrop.yaml").write_text(f"name: w\nversion: '1'\nservices: {{main: {service}}}\n")
    result = bench.run("chute", "validate", str(tmp_path))
    assert (result.code, result.err) == (2, f"Error: {said}\n")


def test_an_image_needs_no_files(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "paradrop.yaml").write_text("name: w\nversion: '1'\nservices: {main: {type: image, image: nginx}}\n")
    assert json.loads(bench.run("chute", "validate", str(tmp_path), "--json").out) == {"valid": True, "problems": []}


def test_a_folder_without_a_manifest(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("chute", "validate", str(tmp_path))
    assert result.code == 2
    assert "has no paradrop.yaml" in result.err
