"""What Docker's errors become."""

from __future__ import annotations

import docker.errors
import pytest
import requests
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from paradrop.base.exceptions import (
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    NotFound,
    ParadropException,
    StartFailed,
    StorageFull,
)
from paradropd.engine.docker.errors import innermost, refusal, translate

SAID = [
    (404, "No such image: paradrop/python3:1", ImageNotFound),
    (404, "pull access denied for nobody/nothing, repository does not exist or may require 'docker login'", ImageNotFound),
    (404, "manifest for debian:none not found: manifest unknown: manifest unknown", ImageNotFound),
    (404, "No such container: 0123", NotFound),
    (404, "network paradrop-d-hello not found", NotFound),
    (409, 'Conflict. The container name "/x" is already in use by container "0123".', Conflict),
    (403, "error while removing network: network x has active endpoints", Conflict),
    (
        400,
        'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nope": '
        "executable file not found in $PATH: unknown",
        StartFailed,
    ),
    (404, 'failed to create task for container: exec: "/nope": stat /nope: no such file or directory: unknown', StartFailed),
    (500, "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated", Conflict),
    (500, "listen tcp4 0.0.0.0:80: bind: address already in use", Conflict),
    (500, "write /var/lib/docker/tmp/x: no space left on device", StorageFull),
    (500, "context canceled", EngineUnavailable),
    (500, "something new", EngineError),
    (500, "", EngineError),
]


@pytest.mark.parametrize(("status", "message", "kind"), SAID)
def test_a_refusal(status: int, message: str, kind: type[ParadropException]) -> None:
    problem = refusal(status, message)
    assert type(problem) is kind
    assert message in str(problem)
    assert str(problem)


@pytest.mark.parametrize(("status", "message", "kind"), SAID)
def test_an_error_of_docker_py_means_the_same(status: int, message: str, kind: type[ParadropException]) -> None:
    response = requests.Response()
    response.status_code = status
    assert type(translate(docker.errors.APIError("problem", response=response, explanation=message))) is kind


@pytest.mark.parametrize(
    "problem",
    [
        requests.exceptions.ConnectionError("Connection aborted."),
        requests.exceptions.ReadTimeout("Read timed out."),
        requests.exceptions.ChunkedEncodingError("Connection broken"),
        docker.errors.DockerException("Error while fetching server API version"),
        ConnectionRefusedError("refused"),
        ConnectionLost(),
        ResponseFailed([Failure(ConnectionLost("lost"))]),
        RequestTransmissionFailed([Failure(ConnectionLost("lost"))]),
    ],
)
def test_silence_means_that_the_engine_is_not_there(problem: Exception) -> None:
    found = translate(problem)
    assert type(found) is EngineUnavailable
    assert found.retry


def test_a_reference_that_is_none_names_no_image() -> None:
    assert type(translate(docker.errors.InvalidRepository("Invalid index name (-x)"))) is ImageNotFound


@pytest.mark.parametrize(
    "problem",
    [
        ResponseNeverReceived([Failure(ConnectionLost("lost"))]),
        RequestTransmissionFailed(
            [Failure(ResponseFailed([Failure(ConnectionRefusedError("no")), Failure(ConnectionLost("lost"))]))]
        ),
        ConnectionLost("lost"),
    ],
)
def test_a_person_reads_what_happened_and_no_failure_in_brackets(problem: Exception) -> None:
    assert innermost(problem) == str(ConnectionLost("lost"))
