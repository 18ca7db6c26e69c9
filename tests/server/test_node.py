"""The node's configuration: accepted by Crossbar itself, and giving nothing to anybody but the server."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdserver.gate.names import AUTHENTICATE
from pdserver.node import GATE, configuration
from pdserver.settings import ServerSettings

SETTINGS = ServerSettings(home=Path("/srv/pd"), name="shop", url="https://shop.example:8443")


def worker(settings: ServerSettings = SETTINGS, chain: int = 0) -> Any:
    return configuration(settings, chain)["workers"][0]


def outside(settings: ServerSettings = SETTINGS, chain: int = 0) -> Any:
    return next(each for each in worker(settings, chain)["transports"] if each["type"] == "universal")


CHECK = """
import json, sys
from crossbar.personality import Personality

def accepted(config):
    try:
        Personality.check_config(Personality, config)
    except Exception as problem:
        return str(problem)
    return ""

print(json.dumps([accepted(config) for config in json.load(sys.stdin)]))
"""


def checked(configurations: list[dict[str, Any]]) -> list[str]:
    """What Crossbar has against each of them. In another process: what it imports warns of itself."""
    said = subprocess.run(
        [sys.executable, "-c", CHECK], input=json.dumps(configurations), capture_output=True, text=True, check=True, timeout=60
    )
    return list(json.loads(said.stdout.splitlines()[-1]))


def test_crossbar_accepts_it() -> None:
    various = [
        SETTINGS,
        replace(SETTINGS, listen_host="::", listen_port=443),
        replace(SETTINGS, listen_host="10.0.0.1", max_message=16 << 20),
        replace(SETTINGS, connections=64),
    ]
    good = [configuration(settings, chain) for settings in various for chain in (0, 2)]
    *accepted, refused = checked([*good, configuration(replace(SETTINGS, listen_port=0))])
    assert accepted == [""] * len(good)
    assert "port" in refused, "it does check"


def test_only_the_server_has_a_permission_and_none_is_cached() -> None:
    roles = {role["name"]: role["permissions"] for role in worker()["realms"][0]["roles"]}
    assert set(roles) == {"server", "device", "user", "guest"}
    assert [name for name, permissions in roles.items() if permissions] == ["server"]
    assert not any(permission["cache"] for permission in roles["server"])


def test_nobody_gets_in_from_outside_without_the_authenticator() -> None:
    transport = outside()
    for auth in (transport["rawsocket"]["auth"], transport["websocket"]["ws"]["auth"]):
        assert set(auth) == {"cryptosign", "ticket"}
        assert all(method == {"type": "dynamic", "authenticator": AUTHENTICATE} for method in auth.values())


def test_the_only_port_speaks_tls() -> None:
    ports = [each["endpoint"] for each in worker()["transports"] if each["endpoint"]["type"] == "tcp"]
    assert len(ports) == 1
    assert "tls" in ports[0]


def test_the_role_of_the_server_is_given_on_the_unix_socket_only() -> None:
    giving = [each for each in worker()["transports"] if "anonymous" in str(each)]
    assert [each["endpoint"]["type"] for each in giving] == ["unix"]


def test_the_tls_port_is_open_when_the_service_can_join() -> None:
    assert [each["endpoint"]["type"] for each in worker()["transports"]] == ["tcp", "unix"]


def test_the_gate_knows_its_bounds() -> None:
    components = worker(replace(SETTINGS, patience=7.0, strangers=3))["components"]
    gate = next(each for each in components if each["classname"] == GATE)
    assert gate["extra"] == {"patience": 7.0, "strangers": 3}
    assert gate["role"] == "server"


def test_a_home_of_any_name_changes_nothing() -> None:
    assert configuration(replace(SETTINGS, home=Path("/srv/$HOME/%s"))) == configuration(SETTINGS)


def test_chain_certificates_are_shown_in_their_order() -> None:
    tls = outside(chain=2)["endpoint"]["tls"]
    assert tls["chain_certificates"] == ["tls/chain-1.pem", "tls/chain-2.pem"]
    assert "chain_certificates" not in outside()["endpoint"]["tls"]
