"""The sockets below a link."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from paradrop.base._links import KEEPALIVE, keep_alive


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "below TLS"])
def test_the_kernel_looks_after_a_tcp_link_and_does_not_hold_back_what_is_sent(wrapped: bool) -> None:
    with socket.socket() as handle:
        transport = SimpleNamespace(getHandle=lambda: handle)
        keep_alive(SimpleNamespace(transport=transport) if wrapped else transport)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        # With Nagle's algorithm, a call that follows a result waits for a delayed acknowledgement: 44 ms a call were measured.
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        for name, value in KEEPALIVE.items():
            assert handle.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


def test_a_link_without_tcp_is_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as handle:
        keep_alive(SimpleNamespace(getHandle=lambda: handle))
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    keep_alive(SimpleNamespace())
