"""Stand-ins for packages that are imported and not used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import pytest

from paradrop.routing.standins import StandIns


@pytest.fixture
def stand_ins() -> Iterator[StandIns]:
    stand_ins = StandIns(["nobody_has_this", "email.nothing"])
    stand_ins.install()
    yield stand_ins
    if stand_ins in sys.meta_path:
        stand_ins.remove()


def test_a_package_and_everything_in_it_has_every_name(stand_ins: StandIns) -> None:
    module = importlib.import_module("nobody_has_this.at.all")

    class Derived(module.Anything[int]):  # type: ignore[name-defined,misc]
        pass

    assert Derived.__name__ == "Derived"
    assert importlib.import_module("email.nothing").Whatever


def test_other_packages_are_the_real_ones(stand_ins: StandIns) -> None:
    assert importlib.import_module("email.message").EmailMessage()["Subject"] is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nobody_has_this_either")


def test_afterwards_there_is_nothing_left(stand_ins: StandIns) -> None:
    importlib.import_module("nobody_has_this.inner")
    stand_ins.remove()
    assert not [name for name in sys.modules if name.startswith("nobody_has_this")]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nobody_has_this")
