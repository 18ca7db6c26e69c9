"""The server's processes: each comes back when it is killed, all end together, and what cannot start says why."""

from __future__ import annotations

import datetime
import resource
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pdserver.certificates import issue, make_authority
from serving import ServerProcess, kill, until

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


def refused(server: ServerProcess, *more: str) -> tuple[int, str]:
    """The exit code of a server that does not start, and what it says."""
    done = subprocess.run([*server.command, *more], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def replaced(get: Callable[[], psutil.Process | None], old: psutil.Process) -> bool:
    found = get()
    return found is not None and found != old


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_it_is_ready_with_a_certificate_that_its_own_authority_verifies(server: ServerProcess) -> None:
    assert server.answers()
    assert server.url in server.said("pdserver is ready")
    assert server.admin_code.startswith("pd1.")


def test_the_router_worker_carries_nothing_that_a_router_does_not_use(server: ServerProcess) -> None:
    worker = server.worker
    assert worker is not None
    loaded = " ".join(each.path for each in worker.memory_maps())
    assert "cbor2" in loaded
    assert "numpy" not in loaded


def test_a_killed_router_worker_comes_back(server: ServerProcess) -> None:
    worker, node, service = server.worker, server.node, server.service
    assert worker is not None
    assert node is not None
    assert service is not None
    kill(worker)
    until(lambda: server.said("the node is back"), "the node's return")
    assert server.answers()
    assert replaced(lambda: server.worker, worker)
    assert server.service == service, "the service outlives the node"


def test_a_killed_node_comes_back_on_the_same_port(server: ServerProcess) -> None:
    node, worker = server.node, server.worker
    assert node is not None
    assert worker is not None
    kill(node)
    until(lambda: server.said("the node is back"), "the node's return")
    assert server.answers()
    assert gone([worker]), "the old worker would hold the port"
    assert "SIGKILL" in server.said("starting again")


def test_a_killed_service_comes_back_and_the_node_stays(server: ServerProcess) -> None:
    node, service = server.node, server.service
    assert service is not None
    assert server.admin_code
    server.output.clear()
    kill(service)
    until(lambda: server.said("pdserver is ready"), "the service's return")
    assert replaced(lambda: server.service, service)
    assert server.node == node, "the node outlives the service"
    assert server.answers()


def test_nothing_survives_a_killed_supervisor_and_the_home_can_be_used_at_once() -> None:
    server = ServerProcess()
    try:
        server.start()
        family = server.tree()
        assert len(family) >= 3
        kill(server.supervisor)
        until(lambda: gone(family), "the end of all")
        server.stop()
        server.start()
        assert server.answers()
    finally:
        server.close()


BUSY = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('busy', flush=True)\nwhile True: pass"
SPAWN = "import os, sys; os.spawnv(os.P_WAIT, sys.executable, [sys.executable, *sys.argv[1:]])"
LEASHED = SPAWN.replace("*sys", "'-m', 'pdserver.leash', str(os.getpid()), *sys")
RELATED = "from pdserver.kinship import DiesWithNode; DiesWithNode(None).onJoin(None)"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-c", LEASHED, sys.executable, "-c", BUSY], id="a child of the supervisor"),
        pytest.param(["-c", SPAWN, "-c", f"{RELATED}; {BUSY}"], id="the router worker"),
    ],
)
def test_not_even_a_process_that_is_stuck_survives_its_parent(arguments: list[str]) -> None:
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "busy\n"
            family = psutil.Process(parent.pid).children(recursive=True)
            assert len(family) == 1
        finally:
            parent.kill()
        try:
            until(lambda: gone(family), "the child's end", 10.0)
        finally:
            kill(family[0])


def test_a_worker_that_is_stuck_does_not_keep_the_port_from_a_new_node(server: ServerProcess) -> None:
    node, worker = server.node, server.worker
    assert node is not None
    assert worker is not None
    worker.suspend()
    kill(node)
    until(lambda: server.said("the node is back"), "the node's return")
    assert server.answers()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_told_to(server: ServerProcess, number: int) -> None:
    assert server.admin_code, "the last thing it says"
    family = server.tree()
    server.output.clear()
    assert server.stop(number) == 0
    until(lambda: gone(family), "the end of all", 2.0)
    assert server.output == [], "an orderly end is nothing to talk about"


def test_it_keeps_its_authority_over_a_restart(server: ServerProcess) -> None:
    before, code = server.authority_pem, server.admin_code
    assert server.stop() == 0
    server.start()
    assert server.authority_pem == before
    assert server.admin_code != code, "as long as nobody has logged in, each start makes another"


def test_no_secret_is_on_a_command_line_or_in_an_environment(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hidden-word.db"
    with ServerProcess(environment={"PDSERVER_DATABASE": url, "SOME_SECRET": "hidden-word"}) as server:
        assert (tmp_path / "hidden-word.db").exists(), "the database of the environment is used"
        for process in server.tree():
            assert "hidden-word" not in " ".join(process.cmdline())
            assert "hidden-word" not in " ".join(process.environ().values())


def test_children_may_open_as_many_files_as_is_permitted(server: ServerProcess) -> None:
    worker = server.worker
    assert worker is not None
    soft, hard = worker.rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard
    assert hard >= resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_what_crossbar_says_goes_to_a_file_of_ours_only(server: ServerProcess) -> None:
    log = server.home / "log" / "node.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert not server.said("[Router")


def test_a_second_server_on_one_home_is_refused(server: ServerProcess) -> None:
    second = ServerProcess(home=server.home)
    code, said = refused(second)
    assert code == 1
    assert f"another pdserver (process {server.supervisor.pid}) runs here" in said
    assert server.answers()


def test_a_port_that_is_taken_is_told() -> None:
    second = ServerProcess()
    try:
        with socket.create_server(("127.0.0.1", second.port)):
            code, said = refused(second)
        assert code == 74
        assert f"cannot listen on 127.0.0.1, port {second.port}" in said
        assert len(said.splitlines()) == 1
    finally:
        second.close()


def test_a_certificate_of_the_operators_own_is_shown_with_its_chain(tmp_path: Path) -> None:
    authority = make_authority("an operator", NOW)
    pair = issue(authority, ["127.0.0.1"], NOW)
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    certificate.write_bytes(pair.certificate_pem + authority.certificate_pem)
    key.write_bytes(pair.key_pem)
    with ServerProcess("--certificate", str(certificate), "--key", str(key)) as server:
        assert not (server.home / "authority.pem").exists()
        (server.home / "authority.pem").write_bytes(authority.certificate_pem)
        assert server.answers()
        assert server.admin_code.count(".") == 2, "a token carries no authority then"


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    authority = make_authority("an operator", NOW)
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    server = ServerProcess("--certificate", str(certificate), "--key", str(key))
    try:
        code, said = refused(server)
        assert (code, str(certificate) in said, "No such file" in said) == (78, True, True)
        certificate.write_bytes(issue(authority, ["127.0.0.1"], NOW).certificate_pem)
        key.write_bytes(issue(authority, ["127.0.0.1"], NOW).key_pem)
        code, said = refused(server)
        assert (code, "do not belong together" in said) == (78, True)
        key.write_text("nonsense")
        code, said = refused(server)
        assert (code, "no private key in PEM format" in said) == (78, True)
    finally:
        server.close()


P384_ONLY = """\
openssl_conf = mine
[mine]
ssl_conf = every
[every]
system_default = groups
[groups]
Groups = P-384
"""


def takes(server: ServerProcess, curve: str) -> bool:
    """Whether a TLS handshake with keys on that curve alone succeeds."""
    context = ssl.create_default_context(cadata=server.authority_pem)
    context.set_ecdh_curve(curve)
    try:
        with (
            socket.create_connection((server.host, server.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=server.host),
        ):
            return True
    except ssl.SSLError:
        return False


def test_an_operator_may_have_the_whole_worker_and_their_own_openssl_configuration(tmp_path: Path) -> None:
    own = tmp_path / "openssl.cnf"
    own.write_text(P384_ONLY, encoding="ascii")
    for options, environment, theirs in (((), {}, False), (("--no-lean",), {"OPENSSL_CONF": str(own)}, True)):
        with ServerProcess(*options, environment=environment) as server:
            assert server.worker is not None
            assert any("numpy" in mapped.path for mapped in server.worker.memory_maps()) is theirs
            assert takes(server, "secp384r1")
            assert takes(server, "prime256v1") is not theirs
