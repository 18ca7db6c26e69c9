"""The settings as an operator sees and changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paradrop.base._inifile import read_ini
from paradrop.base.exceptions import InvalidSettings, NotFound
from paradrop.base.settings import Settings, resolve
from paradropd.configuration import Configuration


class Machine:
    """A home with a file, a list and an environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "settings.ini"
        self.given: list[str] = []
        self.environment: dict[str, str] = {}

    def load(self) -> Settings:
        return resolve("local", self.home, self.given, read_ini(self.file), self.environment)

    def configuration(self) -> Configuration:
        return Configuration(self.load(), self.file, self.load)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_value_that_is_in_force_needs_no_restart(machine: Machine) -> None:
    configuration = machine.configuration()
    assert not any(setting.restart for setting in configuration.all())
    assert configuration.set("settle", "3").restart
    assert [setting.key for setting in configuration.all() if setting.restart] == ["settle"]
    assert not machine.configuration().get("settle").restart


def test_set_keeps_what_the_operator_wrote(machine: Machine) -> None:
    machine.file.write_text("# mine\n[base]\n; the time\nsettle = 3  \nengine = process\n")
    machine.configuration().set("Settle", "4")
    assert machine.file.read_text() == "# mine\n[base]\n; the time\nsettle = 4\nengine = process\n"


def test_an_empty_value_is_the_default(machine: Machine) -> None:
    configuration = machine.configuration()
    configuration.set("settle", "3")
    setting = configuration.set("settle", "")
    assert (setting.value, setting.restart) == (2.0, False)


def test_the_environment_wins_and_says_so(machine: Machine) -> None:
    machine.environment = {"PARADROP_SETTLE": "9"}
    setting = machine.configuration().set("settle", "3")
    assert (setting.value, setting.source) == (9.0, "environment")


@pytest.mark.parametrize("key", ["nothing", "", "sources", "defaults", "base]\nx"])
def test_unknown_keys(machine: Machine, key: str) -> None:
    configuration = machine.configuration()
    with pytest.raises(NotFound):
        configuration.get(key)
    with pytest.raises(NotFound):
        configuration.set(key, "1")
    assert not machine.file.exists()


@pytest.mark.parametrize(("key", "value"), [("settle", "soon"), ("settle", "-1"), ("engine", "steam"), ("mode", "local")])
def test_bad_values_change_nothing(machine: Machine, key: str, value: str) -> None:
    machine.file.write_text("[base]\nsettle = 3\n")
    with pytest.raises(InvalidSettings, match=key):
        machine.configuration().set(key, value)
    assert machine.file.read_text() == "[base]\nsettle = 3\n"


def test_a_value_that_was_broken_by_hand_can_be_replaced(machine: Machine) -> None:
    configuration = machine.configuration()
    machine.file.write_text("[base]\nsettle = soon\n")
    with pytest.raises(InvalidSettings, match="settle"):
        configuration.all()
    assert configuration.set("settle", "3").value == 3.0


def test_another_broken_value_is_not_silently_kept(machine: Machine) -> None:
    configuration = machine.configuration()
    machine.file.write_text("[base]\nengine = steam\n")
    with pytest.raises(InvalidSettings, match="engine"):
        configuration.set("settle", "3")
    assert machine.file.read_text() == "[base]\nengine = steam\n"


@pytest.mark.parametrize("value", ["x\nengine = memory", "x\r[other]", "x\x0bengine = memory", "x\u2028y"])
def test_a_value_of_several_lines_is_refused(machine: Machine, value: str) -> None:
    with pytest.raises(InvalidSettings):
        machine.configuration().set("device_name", value)
    assert not machine.file.exists()
