"""The choice of an engine, and that Docker is asked only when it matters."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from paradrop.base.exceptions import InvalidSettings
from paradropd.engine.choose import answers, choose


@pytest.mark.parametrize(("docker", "name"), [(True, "docker"), (False, "process")])
def test_auto_is_docker_where_it_answers(docker: bool, name: str) -> None:
    assert choose("auto", lambda: docker) == name


@pytest.mark.parametrize("setting", ["docker", "process", "memory"])
def test_a_named_engine_is_taken_without_asking(setting: str) -> None:
    def asked() -> bool:
        raise AssertionError("Docker was asked")

    assert choose(setting, asked) == setting


@pytest.mark.parametrize("setting", ["", "Docker", "podman"])
def test_an_unknown_engine_is_refused_with_those_there_are(setting: str) -> None:
    with pytest.raises(InvalidSettings, match="auto, docker, process"):
        choose(setting, lambda: True)


@pytest.mark.parametrize(
    ("answer", "known"), [(b"HTTP/1.0 200 OK\r\n\r\nOK", True), (b"HTTP/1.0 500 Oh\r\n\r\n", False), (b"", False)]
)
def test_docker_answers_with_200(tmp_path: Path, answer: bytes, known: bool) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert answers(f"unix://{path}") is known
        thread.join()


@pytest.mark.parametrize("url", ["unix:///nowhere/docker.sock", "tcp://somewhere:2375"])
def test_nobody_there_is_a_no(url: str) -> None:
    assert answers(url) is False
