"""Manifests that are right: every part of them as values."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paradrop import uris
from paradrop.manifest import HealthCheck, Limits, Manifest, PortBinding, ServiceKind, Web, parse, schema
from paradrop.values import plain, read

MIB = 1 << 20

WHOLE = """
name: station
version: 1.10
description: |
  Two lines,
  with a tab\tin them.
environment: {TZ: Europe/Berlin, PIN: 007, RATE: 1.50, ON: on, YES: true, NO: false}
resources: {memory: 64M, pids: 10}
services:
  collector:
    type: normal
    source: ./collector/
    command: python3 -u 'my file.py' "$HOME"
    requests:
      memory: 268435456
      cpu: 0.5
      port-bindings:
        - {external: 53, internal: 5353, protocol: udp}
        - {external: 53, internal: 5353}
  store:
    type: image
    image: registry.example:5000/redis:7@sha256
    command: [redis-server, --save, ""]
    environment: {A: "x y"}
web: {service: collector, port: 8080}
fabric: {uses: [clock.*, node.info, org.paradrop.local.chute.x.y, clock.*], shares: [greet, data.*, greet]}
health: {service: store, command: redis-cli ping, interval: 5s, timeout: 0.5, retries: 4, start: 1m}
"""


@pytest.fixture
def whole() -> Manifest:
    return parse(WHOLE)


def short(more: str) -> Manifest:
    return parse(f"name: a\nversion: 1\n{more}")


def test_head(whole: Manifest) -> None:
    assert (whole.name, whole.version) == ("station", "1.10")
    assert whole.description == "Two lines,\nwith a tab\tin them.\n"


def test_environment_is_as_it_was_written(whole: Manifest) -> None:
    written = {"TZ": "Europe/Berlin", "PIN": "007", "RATE": "1.50", "ON": "on", "YES": "true", "NO": "false"}
    assert whole.environment == written
    assert {type(value) for value in whole.environment.values()} == {str}


def test_services(whole: Manifest) -> None:
    collector, store = whole.services
    assert (collector.name, collector.kind, collector.image, collector.source) == (
        "collector",
        ServiceKind.NORMAL,
        "",
        "collector",
    )
    assert collector.command == ("python3", "-u", "my file.py", "$HOME")
    assert (store.name, store.kind, store.source) == ("store", ServiceKind.IMAGE, ".")
    assert store.image == "registry.example:5000/redis:7@sha256"
    assert store.command == ("redis-server", "--save", "")
    assert store.environment == {"A": "x y"}


def test_a_services_requests_come_before_the_chutes_resources(whole: Manifest) -> None:
    collector, store = whole.services
    assert collector.limits == Limits(memory=256 * MIB, cpu=0.5, pids=10)
    assert store.limits == Limits(memory=64 * MIB, cpu=1.0, pids=10)


def test_tcp_and_udp_are_different_ports(whole: Manifest) -> None:
    udp, tcp = PortBinding(external=53, internal=5353, protocol="udp"), PortBinding(external=53, internal=5353)
    assert whole.services[0].ports == (udp, tcp)


def test_fabric_web_and_health(whole: Manifest) -> None:
    assert whole.fabric.uses == ("clock.*", "node.info", "org.paradrop.local.chute.x.y")
    assert whole.fabric.shares == ("greet", "data.*")
    assert whole.web == Web(service="collector", port=8080)
    health = whole.health
    assert health is not None
    assert (health.check, health.service, health.command) == (HealthCheck.COMMAND, "store", ("redis-cli", "ping"))
    assert (health.interval, health.timeout, health.retries, health.start) == (5.0, 0.5, 4, 60.0)


def test_it_travels_as_plain_data(whole: Manifest) -> None:
    assert read(Manifest, plain(whole)) == whole
    assert type(plain(whole)["services"][0]["ports"][0]["external"]) is int


def test_the_short_form_is_one_service() -> None:
    manifest = short("type: light\nuse: python3\ncommand: python3 x.py\nconfig: {environment: {A: 1}, web: {port: 80}}")
    (main,) = manifest.services
    assert (main.name, main.kind, main.image, main.command) == ("main", ServiceKind.LIGHT, "python3", ("python3", "x.py"))
    assert main.environment == {"A": "1"}
    assert manifest.web == Web(service="main", port=80)


def test_the_short_form_takes_the_other_parts_too() -> None:
    manifest = short("type: normal\nhealth: {procedure: greet}\nresources: {memory: 16M}\nweb: {port: 80}\nfabric: {uses: [b.*]}")
    assert manifest.services[0].limits.memory == 16 * MIB
    assert manifest.health is not None
    assert (manifest.health.service, manifest.health.procedure) == ("main", "greet")
    assert manifest.web == Web(service="main", port=80)


def test_the_only_service_is_the_default() -> None:
    manifest = short("services: {site: {type: normal}}\nweb: {port: 80}\nhealth: {http: {port: 80}}")
    assert manifest.web == Web(service="site", port=80)
    assert manifest.health is not None
    assert (manifest.health.service, manifest.health.path, manifest.health.port) == ("site", "/", 80)
    assert (manifest.health.interval, manifest.health.timeout, manifest.health.retries) == (10.0, 5.0, 3)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("8388608", 8 * MIB),
        ("8192K", 8 * MIB),
        ("8M", 8 * MIB),
        ("8 MiB", 8 * MIB),
        ("8MB", 8 * MIB),
        ("8m", 8 * MIB),
        ("2G", 2048 * MIB),
    ],
)
def test_sizes(written: str, size: int) -> None:
    assert short(f"type: normal\nresources: {{memory: {written}}}").services[0].limits.memory == size


@pytest.mark.parametrize(("written", "seconds"), [("5", 5), ("0.5", 0.5), ("500ms", 0.5), ("2s", 2), ("1.5m", 90), ("1 h", 3600)])
def test_durations(written: str, seconds: float) -> None:
    health = short(f"type: normal\nhealth: {{procedure: x, interval: {written}}}").health
    assert health is not None
    assert health.interval == pytest.approx(seconds)


def test_bytes_with_a_byte_order_mark() -> None:
    assert parse(b"\xef\xbb\xbfname: a\nversion: 1\ntype: normal\n").name == "a"


@pytest.mark.parametrize("written", ["2024-01-01", "0x1F", "1E3", "v2", "007", "1_000"])
def test_versions_are_as_written(written: str) -> None:
    assert parse(f"name: a\nversion: {written}\ntype: normal").version == written


def keys(part: Any) -> Iterator[str]:
    """Every key that a manifest can have, by its schema."""
    if isinstance(part, dict):
        yield from part.get("properties", {})
        for value in part.values():
            yield from keys(value)
    elif isinstance(part, list):
        for value in part:
            yield from keys(value)


def test_every_key_is_documented(project: Path) -> None:
    text = (project / "docs" / "manifest.md").read_text(encoding="utf-8")
    assert {key for key in keys(schema()) if f"`{key}`" not in text} == set()


def test_every_reserved_name_is_documented(project: Path) -> None:
    text = (project / "docs" / "manifest.md").read_text(encoding="utf-8")
    assert {name for name in uris.RESERVED_NAMES if f"`{name}`" not in text} == set()


def test_every_example_of_the_documentation_is_a_manifest(project: Path) -> None:
    text = (project / "docs" / "manifest.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 5
    assert all(parse(example) for example in examples)


def patterns(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for value in part.values():
            yield from patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from patterns(value)


def test_the_schema_is_a_schema_and_its_patterns_are_whole() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns(schema()))
    assert schema()["$defs"]["name"]["pattern"] == f"^{uris.NAME.pattern}$"


def test_reading_no_manifest_loads_no_jsonschema() -> None:
    code = "import sys, paradrop.manifest; assert 'jsonschema' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
