"""The example chutes, each loaded anew for each test, as `python3 main.py` loads it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(project: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """``load("hello")`` is the module ``chutes/hello/main.py``."""

    def load(name: str) -> ModuleType:
        monkeypatch.setenv("PARADROP_CHUTE_NAME", name)
        spec = importlib.util.spec_from_file_location(f"{name}_main", project / "chutes" / name / "main.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load
