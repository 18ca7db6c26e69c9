"""What the command line says when it cannot start a server: one line, and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdserver.cli import default_url, main
from pdserver.home import ServerHome


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--listen", "here"], 78, "--listen here"),
        (["--url", "http://a"], 78, "--url http://a"),
        (["--database", "mysql://u:secret@h/d"], 78, "the database's URL must begin with"),
        (["--certificate", "/nowhere/c.pem", "--key", "/nowhere/k.pem"], 78, "/nowhere/c.pem"),
        (["--log-level", "loud"], 2, "loud"),
        (["--wrong"], 2, "--wrong"),
    ],
)
def test_what_is_wrong_is_told(
    options: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--home", str(tmp_path / "h"), *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "secret" not in err
    assert "Traceback" not in err


def test_a_home_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ServerHome(tmp_path)
    home.make()
    with home.lock():
        assert main(["run", "--home", str(tmp_path)]) == 1
    assert "another pdserver" in capsys.readouterr().err


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "--home", str(tmp_path / "file")]) == 74
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_without_a_home_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "--home" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "PDSERVER_DATABASE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "https://box:8443"),
        ("::", "https://box:8443"),
        ("10.0.0.1", "https://10.0.0.1:8443"),
        ("2001:db8::1", "https://[2001:db8::1]:8443"),
    ],
)
def test_what_others_may_find_the_server_by(host: str, url: str) -> None:
    assert default_url(host, 8443, "box") == url
