"""The Crossbar node's configuration, decided by the server's settings alone.

Formats: ``crossbar/common/checkconfig.py`` of Crossbar 26.10.1. Every path in it is relative to the node's folder: Crossbar
expands ``$…`` in some of them, and a home may be called anything.
"""

from __future__ import annotations

from typing import Any

from paradrop.uris import DEVICE_REALM
from pdserver.gate.names import AUTHENTICATE, WampRole
from pdserver.settings import ServerSettings

GATE = "pdserver.gate.component.Gate"
KINSHIP = "pdserver.kinship.DiesWithNode"

CERTIFICATE = "tls/certificate.pem"
KEY = "tls/key.pem"
SOCKET = "../run/node.sock"
WEBSOCKET_PATH = "ws"

BACKLOG = 4096
"""Connections that wait to be accepted: a fleet comes back all at once."""
PING_INTERVAL = 30_000
"""Milliseconds. Of WebSocket only: Crossbar speaks no pings on RawSocket, where the device's side finds out."""
PING_TIMEOUT = 20_000
"""Milliseconds."""
HANDSHAKE = 10_000
"""Milliseconds for WebSocket's opening handshake; the gate bounds the whole way to a joined session."""


def chain_file(number: int) -> str:
    return f"tls/chain-{number}.pem"


def configuration(settings: ServerSettings, chain: int = 0) -> dict[str, Any]:
    """What ``crossbar start`` reads as ``config.json``. *chain*: how many certificates come after the server's own.

    Transports are started in their order here, and after the components: when the service gets in, everything else is there.
    """
    gate = {
        "type": "class",
        "classname": GATE,
        "realm": DEVICE_REALM,
        "role": WampRole.SERVER.value,
        "extra": {"patience": settings.patience, "strangers": settings.strangers_allowed},
    }
    kinship = {"type": "class", "classname": KINSHIP, "realm": DEVICE_REALM, "role": WampRole.SERVER.value}
    # The option "expose_controller" stays as it is: with False the node of Crossbar 26.10.1 never gets past its worker's start.
    worker = {
        "type": "router",
        "realms": [{"name": DEVICE_REALM, "roles": _roles()}],
        "components": [kinship, gate],
        "transports": [_outside(settings, chain), _inside()],
    }
    # A node without its worker is of no use: it ends, and is started anew as a whole.
    controller = {"options": {"shutdown": ["shutdown_on_worker_exit"]}}
    return {"version": 2, "controller": controller, "workers": [worker]}


def _roles() -> list[dict[str, Any]]:
    """Only the server itself may do anything by configuration: whoever joins before the gate is there can do nothing.

    No permission is cached: Crossbar's cache knows roles, not sessions, and would lend one device's permissions to all.
    """
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    disclosed = {"caller": True, "publisher": True}
    permission = {"uri": "", "match": "prefix", "allow": everything, "disclose": disclosed, "cache": False}
    others = (WampRole.DEVICE, WampRole.USER, WampRole.GUEST)
    return [
        {"name": WampRole.SERVER.value, "permissions": [permission]},
        *({"name": role.value, "permissions": []} for role in others),
    ]


def _inside() -> dict[str, Any]:
    """The service's way in: a socket that only this user can reach stands for its proof of who it is."""
    return {
        "type": "rawsocket",
        "endpoint": {"type": "unix", "path": SOCKET},
        "serializers": ["cbor"],
        "options": {"max_message_size": 16 << 20},
        "auth": {"anonymous": {"type": "static", "realm": DEVICE_REALM, "role": WampRole.SERVER.value}},
    }


def _outside(settings: ServerSettings, chain: int) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "type": "tcp",
        "port": settings.listen_port,
        "backlog": BACKLOG,
        "tls": {"certificate": CERTIFICATE, "key": KEY},
    }
    if chain:
        endpoint["tls"]["chain_certificates"] = [chain_file(number) for number in range(1, chain + 1)]
    if settings.listen_host:
        endpoint["interface"] = settings.listen_host
    rawsocket = {"serializers": ["cbor"], "options": {"max_message_size": settings.max_message}, "auth": _auth()}
    websocket = {
        "type": "websocket",
        "serializers": ["cbor", "msgpack", "json"],
        "options": {
            "max_message_size": settings.max_message,
            "max_frame_size": settings.max_message,
            "open_handshake_timeout": HANDSHAKE,
            "auto_ping_interval": PING_INTERVAL,
            "auto_ping_timeout": PING_TIMEOUT,
            "auto_ping_restart_on_any_traffic": True,
            "require_websocket_subprotocol": True,
            "show_server_version": False,
            "enable_webstatus": False,
        },
        "auth": _auth(),
    }
    return {
        "type": "universal",
        "endpoint": endpoint,
        "max_connections": settings.connections,
        "rawsocket": rawsocket,
        "websocket": {WEBSOCKET_PATH: websocket},
    }


def _auth() -> dict[str, Any]:
    """Keys for devices and people, tickets for whoever has an invitation; the service decides about both."""
    return {method: {"type": "dynamic", "authenticator": AUTHENTICATE} for method in ("cryptosign", "ticket")}
