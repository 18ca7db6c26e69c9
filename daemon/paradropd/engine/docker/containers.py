"""A container in Docker's words, from an instance in ours, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paradropd.engine.docker.frames import seconds
from paradropd.engine.docker.names import Names
from paradropd.engine.port import InstanceKey, InstanceSpec, InstanceState, InstanceStatus

SYSTEM_DIR = "/paradrop"
DATA_DIR = "/data"

LOG_DRIVER = {"Type": "local", "Config": {"max-size": "10m", "max-file": "2", "compress": "false"}}
"""What Docker keeps itself: enough to catch up after a restart of ours, and bounded.

Unlike ``json-file``, ``local`` keeps bytes as they are, and dockerd 20.10 reads it fast enough to follow it through a rotation:
of 100 MB printed at full speed all came through, where ``json-file`` lost a third.
"""

_RUNNING = ("running", "paused", "restarting")
_NEVER = "0001-01-01T00:00:00Z"
"""What Docker has for a time that has not been."""


def configuration(spec: InstanceSpec, names: Names, *, init: bool, processors: int) -> dict[str, Any]:
    """The body of ``POST /containers/create`` (Docker Engine API 1.41).

    *init* puts Docker's small init in front of the command, so that it gets signals and its orphans are reaped. *processors* is
    how many this machine has: Docker refuses to promise more.
    """
    network = names.network(spec.key.chute)
    ports = {f"{port.internal}/{port.protocol}": [{"HostPort": str(port.external)}] for port in spec.ports}
    return {
        "Image": spec.image,
        "Cmd": list(spec.command) or None,
        "Env": [f"{name}={value}" for name, value in _environment(spec).items()],
        "Labels": names.labels(spec.key),
        "ExposedPorts": {port: {} for port in ports},
        "HostConfig": {
            "Mounts": [
                {"Type": "bind", "Source": str(spec.system_dir), "Target": SYSTEM_DIR, "ReadOnly": True},
                {"Type": "bind", "Source": str(spec.data_dir), "Target": DATA_DIR, "ReadOnly": False},
            ],
            "Memory": spec.limits.memory,
            "MemorySwap": spec.limits.memory,  # memory and swap together: no swap
            "NanoCpus": int(min(spec.limits.cpu, processors) * 1e9),
            "PidsLimit": spec.limits.pids,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no"},  # the daemon restarts, and counts
            "LogConfig": LOG_DRIVER,
            "Init": init,
            "NetworkMode": network,
            "PortBindings": ports,
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [spec.key.service]}}},
    }


def _environment(spec: InstanceSpec) -> dict[str, str]:
    return {
        **spec.environment,
        "PARADROP_DATA_DIR": DATA_DIR,
        "PARADROP_SYSTEM_DIR": SYSTEM_DIR,
        "PARADROP_FABRIC": f"unix:{SYSTEM_DIR}/fabric.sock",
    }


def state_of(inspected: Mapping[str, Any], key: InstanceKey, network: str) -> InstanceState:
    """What ``GET /containers/<id>/json`` says, as a state."""
    state = inspected["State"]
    started = None if state["StartedAt"] == _NEVER else seconds(state["StartedAt"])
    if state["Status"] in _RUNNING:
        endpoint = inspected["NetworkSettings"]["Networks"].get(network) or {}
        return InstanceState(key=key, status=InstanceStatus.RUNNING, started=started, address=endpoint.get("IPAddress") or None)
    detail = str(state.get("Error") or "")
    if state.get("OOMKilled"):
        detail = "out of memory"
    elif started is None:
        detail = detail or "was never started"
    return InstanceState(key=key, status=InstanceStatus.EXITED, exit_code=int(state["ExitCode"]), started=started, detail=detail)


def running(listed: Mapping[str, Any]) -> bool:
    """Whether an item of ``GET /containers/json`` runs."""
    return listed["State"] in _RUNNING


def follows(new: InstanceState, old: InstanceState | None) -> bool:
    """Whether *new* is news after *old*.

    Two looks at one container may arrive in the wrong order. Within one run (one start time) there is no way back from the end.
    """
    if old is None:
        return True
    if new.started == old.started and old.status is InstanceStatus.EXITED:
        return False
    return (new.status, new.started) != (old.status, old.started)
