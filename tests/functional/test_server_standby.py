"""Two real servers on one real PostgreSQL: the second stands by, and takes over when the first is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paradrop.keys import Key
from paradrop.tokens import Token
from postgresql import PostgreSQL
from rawpeer import RawPeer
from serving import ServerProcess, until

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def servers(postgresql: PostgreSQL) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    environment = {"PDSERVER_DATABASE": postgresql.create()}
    first, second = ServerProcess(environment=environment), ServerProcess(environment=environment)
    yield first, second
    first.close()
    second.close()


def test_the_second_takes_over_with_everybody_the_first_one_knew(servers: tuple[ServerProcess, ServerProcess]) -> None:
    first, second = servers
    first.start()
    code, key = Token.read(first.admin_code), Key.generate()
    with RawPeer(first.url, first.authority_pem) as guest:
        guest.join(name=code.id, ticket=code.secret)
        guest.call("org.paradrop.server.invitations.accept", key.public)
    second.begin()
    until(lambda: second.said("another server uses this database"), "standing by")
    assert not second.said("pdserver is ready")
    first.supervisor.kill()
    until(lambda: second.said("pdserver is ready"), "taking over")
    with RawPeer(second.url, second.authority_pem) as admin:
        assert admin.join(key)["authid"] == "admin"
