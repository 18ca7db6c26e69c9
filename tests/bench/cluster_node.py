"""Crossbar nodes with the configurations of ``docs/cluster/``: what the documentation shows is what is started."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.node import READY, answers
from bench.place import ROOT, NotMeasured, Place, console_script
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.task import deferLater

from paradrop.base.seams import in_thread

CONFIGURATIONS = ROOT / "docs" / "cluster"
NAMES = ("b.example", "localhost")
"""What the certificate of a node is for."""


@dataclass(frozen=True, slots=True)
class Running:
    """A node that has started."""

    folder: Path
    controller: int
    """Process id."""

    def where(self, port: int = 0) -> str:
        """How a peer gets there, as :mod:`bench.cluster_peers` reads it: by the unix socket, or by TLS on *port*."""
        return f"tls:{port}:{self.folder / 'authority.pem'}" if port else f"unix:{self.folder / 'node.sock'}"

    def worker(self, kind: str) -> int:
        """Process id of the node's first worker of that *kind*, ``router`` or ``proxy``."""
        task = Path(f"/proc/{self.controller}/task/{self.controller}/children")
        for child in map(int, task.read_text(encoding="ascii").split()):
            if f"worker.{kind}." in Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace"):
                return child
        raise NotMeasured(f"the node has no {kind} worker")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def public_key(folder: Path) -> str:
    """Makes the node's key, as ``crossbar keys`` does, and gives its public half."""
    command = [str(console_script("crossbar")), "keys", "--cbdir", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=READY)
    for line in (folder / "key.pub").read_text(encoding="utf-8").splitlines():
        if line.startswith("public-key-ed25519:"):
            return line.split()[1]
    raise NotMeasured("crossbar keys made no key")


def make_certificate(folder: Path) -> None:
    """A certificate for :data:`NAMES` and the authority that signed it."""
    signing, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.datetime.now(datetime.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def begun(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(named("authority"), named(subject), public, x509.random_serial_number())
        day = datetime.timedelta(days=1)
        return builder.not_valid_before(now - day).not_valid_after(now + day)

    authority = begun("authority", signing.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    certificate = begun(NAMES[0], key.public_key()).add_extension(alternative, critical=False)
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "authority.pem").write_bytes(authority.sign(signing, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(certificate.sign(signing, hashes.SHA256()).public_bytes(pem))
    (folder / "server-key.pem").write_bytes(key.private_bytes(pem, *plain))


def configuration(name: str, replaced: Mapping[str, str]) -> str:
    """The file *name* of the documentation, with *replaced* texts: ports of this run, the key of a node. Checked to be JSON."""
    text = (CONFIGURATIONS / name).read_text(encoding="utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    json.loads(text)
    return text


@asynccontextmanager
async def home() -> AsyncIterator[Path]:
    """A node's folder, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pd-cluster-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def node(place: Place, folder: Path, text: str, port: int = 0) -> AsyncIterator[Running]:
    """A node in *folder* with the configuration *text*, once its unix socket or its *port* answers."""
    (folder / "config.json").write_text(text, encoding="utf-8")
    command = [str(console_script("crossbar")), "start", "--cbdir", str(folder), "--loglevel", "warn", "--color", "false"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        give_up = time.monotonic() + READY
        while not (listens(port) if port else answers(folder / "node.sock")):
            if process.poll() is not None or time.monotonic() > give_up:
                raise NotMeasured(f"crossbar did not start: {(folder / 'output').read_text(encoding='utf-8')[-2000:]}")
            await deferLater(place.reactor, 0.05)
        yield Running(folder, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await in_thread(partial(process.wait, timeout=15))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
