"""The configurations of docs/cluster.md: Crossbar takes them as they stand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from running import BIN, PATIENCE

CONFIGURATIONS = sorted((Path(__file__).parents[2] / "docs" / "cluster").glob("*.json"))


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda path: path.stem)
def test_crossbar_takes_the_configuration(configuration: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(configuration.read_text(encoding="utf-8"), encoding="utf-8")
    command = [str(BIN / "crossbar"), "check", "--cbdir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_configurations_to_take() -> None:
    assert [path.stem for path in CONFIGURATIONS] == ["link-a", "link-b", "proxy"]
