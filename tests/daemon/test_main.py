"""The command line, and the console script without the extra."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.metadata import version

import pytest

from paradropd.main import CLAIM_TOKEN, arguments, claim_of


def test_defaults() -> None:
    options = arguments([])
    assert (options.home, options.mode, options.set, options.quiet) == (None, "local", [], False)


def test_settings_may_be_given_several_times() -> None:
    assert arguments(["--set", "settle:1", "--set", "engine:memory"]).set == ["settle:1", "engine:memory"]


class TestClaim:
    def test_url_and_token(self) -> None:
        assert claim_of(arguments(["--claim", "server.example", "pd1.a.b"]).claim, {}, io.StringIO()) == (
            "server.example",
            "pd1.a.b",
        )
        assert claim_of(arguments([]).claim, {}, io.StringIO()) is None

    def test_a_token_that_no_list_of_processes_shows(self) -> None:
        given = arguments(["--claim", "server.example", "-"]).claim
        assert claim_of(given, {}, io.StringIO("pd1.a.b\nmore\n")) == ("server.example", "pd1.a.b")
        environment = {CLAIM_TOKEN: "pd1.c.d", "HOME": "/"}
        assert claim_of(given, environment, io.StringIO("pd1.a.b")) == ("server.example", "pd1.c.d")
        assert environment == {"HOME": "/"}, "what the daemon starts must not inherit it"


@pytest.mark.parametrize("argv", [["--mode", "fast"], ["--colour"], ["more"]])
def test_what_is_no_option(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2
    assert "usage: paradropd" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"paradropd {version('paradrop')}\n"


def test_as_many_files_as_the_system_lets_it_have() -> None:
    script = (
        "import resource; from paradropd.main import allow_many_files; limit = resource.RLIMIT_NOFILE;"
        "resource.setrlimit(limit, (64, 128)); allow_many_files(); print(resource.getrlimit(limit))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("(128, 128)\n", "")


def test_without_the_extra_it_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['psutil'] = sys.modules['twisted'] = None; from paradropd.entry import main; sys.exit(main())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 69
    assert "pip install 'paradrop[daemon]'" in ended.stderr
    assert "Traceback" not in ended.stderr
