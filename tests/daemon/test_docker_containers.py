"""Instances in Docker's words, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paradrop.manifest.model import MIB, Limits, PortBinding, ServiceKind
from paradropd.engine.docker.containers import configuration, follows, state_of
from paradropd.engine.docker.init import complaint
from paradropd.engine.docker.names import Names
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec, InstanceState, InstanceStatus

KEY = InstanceKey("hello", "main", 3)
NAMES = Names("0a1b2c")
SPEC = InstanceSpec(
    key=KEY,
    image="some:image",
    system_dir=Path("/host/system"),
    data_dir=Path("/host/data"),
    command=("python3", "main.py"),
    environment={"GREETING": "a=b", "PARADROP_DATA_DIR": "/etc"},
    limits=Limits(memory=64 * MIB, cpu=0.5, pids=20),
    ports=(PortBinding(external=8080, internal=80), PortBinding(external=53, internal=53, protocol="udp")),
)


def made(**change: Any) -> dict[str, Any]:
    return configuration(SPEC, NAMES, **{"init": True, "processors": 4, **change})


def test_limits_are_set_and_there_is_no_swap() -> None:
    host = made()["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 64 * MIB
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 20
    assert made(processors=0.25)["HostConfig"]["NanoCpus"] == 250_000_000


def test_there_are_no_privileges() -> None:
    host = made()["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert "Privileged" not in host
    assert host["RestartPolicy"] == {"Name": "no"}


def test_a_chute_cannot_say_where_the_engine_put_things() -> None:
    assert sorted(made()["Env"]) == [
        "GREETING=a=b",
        "PARADROP_DATA_DIR=/data",
        "PARADROP_FABRIC=unix:/paradrop/fabric.sock",
        "PARADROP_SYSTEM_DIR=/paradrop",
    ]


def test_folders_ports_and_network() -> None:
    wanted = made()
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in wanted["HostConfig"]["Mounts"]] == [
        ("/host/system", "/paradrop", True),
        ("/host/data", "/data", False),
    ]
    assert wanted["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": "8080"}], "53/udp": [{"HostPort": "53"}]}
    assert set(wanted["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert wanted["NetworkingConfig"]["EndpointsConfig"] == {"paradrop-0a1b2c-hello": {"Aliases": ["main"]}}


def test_labels_say_whose_it_is_and_lead_back() -> None:
    labels, names = made()["Labels"], [f"/{NAMES.container(KEY)}"]

    def key(labels: dict[str, str] | None, names: list[str] | None = names, of: Names = NAMES) -> InstanceKey | None:
        return of.key({"Labels": labels, "Names": names})

    assert key(labels) == KEY
    assert key(labels, of=Names("other")) is None
    assert key(None) is None
    assert key({**labels, "org.paradrop.release": "x"}) is None
    assert key({name: value for name, value in labels.items() if name != "org.paradrop.instance"}) is None
    assert key(labels, ["/silly_name"]) is None  # a step of a build whose Dockerfile states our labels
    assert key(labels, None) is None


def test_an_image_s_labels_make_no_container_ours_and_change_with_no_release() -> None:
    labels = NAMES.image_labels(KEY)
    assert not labels.keys() & NAMES.labels(KEY).keys()
    assert labels == NAMES.image_labels(InstanceKey("hello", "main", 4))


def test_names_of_different_things_differ() -> None:
    assert NAMES.container(InstanceKey("a-b", "c", 1)) != NAMES.container(InstanceKey("a", "b-c", 1))


@pytest.mark.parametrize("chute", ["hello", "a-", "a--b", "a---"])
def test_image_names_are_valid_references(chute: str) -> None:
    spec = BuildSpec(
        key=InstanceKey(chute, "main-", 1), kind=ServiceKind.LIGHT, image="python3", digest="f" * 64, files=lambda: iter(())
    )
    name = NAMES.image(spec)
    assert name.startswith("paradrop-0a1b2c/")
    assert name.endswith(":" + "f" * 16)
    assert "-." not in name
    assert "-:" not in name


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "State": {
            "Status": "exited",
            "ExitCode": 0,
            "StartedAt": "1970-01-01T00:00:05Z",
            "Error": "",
            "OOMKilled": False,
            **state,
        },
        "NetworkSettings": {"Networks": {"paradrop-0a1b2c-hello": {"IPAddress": "172.18.0.2"}}},
    }


def test_states() -> None:
    def state(**facts: Any) -> InstanceState:
        return state_of(inspected(**facts), KEY, "paradrop-0a1b2c-hello")

    running = state(Status="running")
    assert (running.status, running.started, running.address) == (InstanceStatus.RUNNING, 5.0, "172.18.0.2")
    assert running.exit_code is None
    ended = state(ExitCode=137, OOMKilled=True)
    assert (ended.status, ended.exit_code, ended.address, ended.detail) == (InstanceStatus.EXITED, 137, None, "out of memory")
    never = state(Status="created", StartedAt="0001-01-01T00:00:00Z")
    assert (never.status, never.started, never.detail) == (InstanceStatus.EXITED, None, "was never started")


def test_news() -> None:
    running = InstanceState(key=KEY, status=InstanceStatus.RUNNING, started=1.0)
    ended = InstanceState(key=KEY, status=InstanceStatus.EXITED, started=1.0, exit_code=1)
    again = InstanceState(key=KEY, status=InstanceStatus.RUNNING, started=2.0)
    assert follows(running, None)
    assert follows(ended, running)
    assert follows(again, ended)
    assert not follows(running, ended)  # a look that came late
    assert not follows(running, running)
    assert not follows(ended, ended)


def test_what_tini_says_of_a_command_that_is_not_there() -> None:
    said = b"[FATAL tini (7)] exec nope failed: No such file or directory\n"
    assert complaint(said, 127) == "exec nope failed: No such file or directory"
    assert complaint(said, 1) == ""
    assert complaint(b"sh: 1: nope: not found\n", 127) == ""
    assert complaint(b"", 127) == ""
