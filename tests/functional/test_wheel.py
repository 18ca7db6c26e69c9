"""The wheel, in a virtual environment that has never seen the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import PATIENCE, RunningDevice


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel in it, and beside it only what the wheel depends on."""
    project = Path(__file__).parents[2]
    work = tmp_path_factory.mktemp("wheel")
    # A copy of what git would give, so that the build leaves nothing in the checkout, and nothing old gets into the wheel.
    source = work / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", ".paradrop", "node_modules", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(project, source, ignore=ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = (work / "dist").glob("*.whl")

    environment = work / "environment"
    venv.create(environment, with_pip=False)
    bin_folder = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python"), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, timeout=300)
    # The dependencies are those of the checkout's environment. A path in a .pth file is only a path: the .pth files in it, and
    # with them the editable install of the checkout, are not read (site module).
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return bin_folder


@pytest.fixture
def device(installed: Path, tmp_path: Path) -> Iterator[RunningDevice]:
    device = RunningDevice(tmp_path / "home", "process", bin=installed)
    device.start()
    yield device
    assert device.stop() == 0


def test_it_is_the_wheel_that_is_tested(installed: Path) -> None:
    where = "import paradrop, paradropd, pdtools, paradrop_chutes as c; print(paradrop.__file__, paradropd.__file__, c.__file__)"
    told = subprocess.run(
        [installed / "python", "-c", where], cwd="/", capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.split()
    assert all(Path(path).is_relative_to(installed.parent) for path in told)


def test_a_device_from_the_wheel_runs_a_chute_from_the_wheel(device: RunningDevice, installed: Path) -> None:
    find = "import importlib.resources as r; print(r.files('paradrop_chutes') / 'hello')"
    hello = subprocess.run(
        [installed / "python", "-c", find], cwd="/", capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.strip()
    device.run("deploy", hello)
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"
    device.run("remove", "--yes", "hello")


def test_everything_that_is_data_is_in_the_wheel(installed: Path) -> None:
    find = "import paradrop as a, paradropd as b, paradrop_chutes as c, pdtools as d; print(*(m.__path__[0] for m in (a,b,c,d)))"
    told = subprocess.run(
        [installed / "python", "-c", find], cwd="/", capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.split()
    paradrop, paradropd, chutes, pdtools = map(Path, told)
    assert (paradrop / "manifest" / "schema.json").is_file()
    assert (paradropd / "web" / "static" / "index.html").is_file()
    assert list((paradropd / "web" / "static" / "assets").iterdir())
    assert (chutes / "base" / "build_base.py").is_file()
    assert list((pdtools / "templates").rglob("*.tmpl"))


def test_without_an_extra_the_scripts_name_it(installed: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(bare)}))
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(installed.parent)}))
    for name in ("paradrop", "paradropd", "pdtools"):
        shutil.copytree(packages / name, site / name)
    for script, extra in (("paradropd", "daemon"), ("pdtools", "tools")):
        done = subprocess.run(
            [bare / "bin" / "python", "-m", f"{script}.entry"],
            capture_output=True, text=True, cwd="/", timeout=PATIENCE, check=False,
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        )  # fmt: skip
        assert done.returncode != 0
        assert f"paradrop[{extra}]" in done.stderr
