"""How a command begins and ends: the entry point, the exit codes, the help."""

from __future__ import annotations

import builtins
import subprocess
import sys
from typing import Any

import click
import pytest

from paradrop.base.exceptions import ParadropException, tree
from pdtools import entry
from pdtools.cli import cli
from pdtools.testing import Bench


def commands(group: click.Group, *names: str) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*names, name))
        if isinstance(command, click.Group):
            found += commands(command, *names, name)
    return found


EVERY = commands(cli)


def test_the_commands() -> None:
    assert {" ".join(path) for path in EVERY} == {
        "call", "changes", "chute", "chute init", "chute validate", "config", "config get", "config set", "config show",
        "dashboard", "deploy", "logs", "people", "people add", "people list", "people remove", "procedures", "provision", "ps",
        "publish", "remove", "restart", "server", "server audit", "server claim-token", "server create-device",
        "server devices", "server groups", "server groups add", "server groups join", "server groups leave",
        "server groups list", "server groups remove", "server list", "server login", "server logout", "server remove-device",
        "server status", "server users", "server users add", "server users forget-key", "server users grant",
        "server users invite", "server users keys", "server users list", "server users remove", "server users revoke",
        "server wanted", "start", "status", "stop", "subscribe", "unprovision",
    }  # fmt: skip


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_explains_itself_with_an_example(bench: Bench, path: tuple[str, ...]) -> None:
    result = bench.run(*path, "--help")
    assert result.code == 0
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    if not isinstance(command, click.Group):
        assert f"Example: pdtools {' '.join(path)}" in result.out


SHOWS_DATA = ["status", "ps", "changes", "procedures", "logs", "call", "config show", "config get", "people list", "dashboard"]
CHANGES = [
    "deploy",
    "start",
    "stop",
    "restart",
    "remove",
    "subscribe",
    "config set",
    "chute validate",
    "provision",
    "unprovision",
]
SERVER = [
    "audit", "claim-token", "create-device", "devices", "groups", "groups list", "list", "login", "status", "users", "users add",
    "users invite", "users keys", "users list", "wanted",
]  # fmt: skip


@pytest.mark.parametrize("path", [*SHOWS_DATA, *CHANGES, *(f"server {name}" for name in SERVER)])
def test_what_shows_data_can_show_it_as_json(bench: Bench, path: str) -> None:
    assert "--json" in bench.run(*path.split(), "--help").out


def test_the_version(bench: Bench) -> None:
    assert bench.run("--version").out.startswith("pdtools 1.")


@pytest.mark.parametrize(
    "arguments",
    [["frob"], ["call"], ["ps", "--frob"], ["--socket", "/a", "--home", "/b", "ps"], ["--home", "/b", "--target", "a.b", "ps"]],
)
def test_a_wrong_use_is_2_and_said_on_stderr(bench: Bench, arguments: list[str]) -> None:
    result = bench.run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Error: " in result.err


def test_where_the_device_is_can_be_said(bench: Bench) -> None:
    bench.realm.offer("chutes.list", list)
    bench.run("--home", "/h", "ps")
    assert bench.realm.target is not None
    assert bench.realm.target.address == "unix:/h/run/control.sock"
    bench.run("--socket", "/s.sock", "ps")
    assert bench.realm.target.address == "unix:/s.sock"


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_ends_with_its_own_exit_code_and_sentence(bench: Bench, kind: type[ParadropException]) -> None:
    def fail() -> None:
        raise kind("org.paradrop.local.chute.hello.greet said no")

    bench.realm.offer("x.y", fail)
    result = bench.run("call", "x.y")
    assert (result.code, result.out) == (kind.exit_code, "")
    assert "hello.greet said no" in result.err
    assert "org.paradrop" not in result.err


def test_a_defect_is_not_hidden(bench: Bench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bench.realm.offer("x.y", fail)
    with pytest.raises(ZeroDivisionError):
        bench.run("call", "x.y")


def test_a_reader_that_went_away_is_no_news() -> None:
    head = subprocess.run(
        f"{sys.executable} -m pdtools.entry --help | true", shell=True, capture_output=True, text=True, timeout=60
    )
    assert head.stderr == ""


def missing(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Make the next import of :mod:`pdtools.run` fail for want of *module*."""
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pdtools.run":
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    missing(monkeypatch, "rich")
    assert entry.main() == 1
    assert capsys.readouterr().err == "pdtools cannot find rich: pip install 'paradrop[tools]'\n"


def test_a_missing_module_of_ours_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "pdtools.cmd_lost")
    with pytest.raises(ModuleNotFoundError):
        entry.main()
