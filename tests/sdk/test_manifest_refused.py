"""Manifests that are wrong: every problem, with its path, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from paradrop import uris
from paradrop.base.exceptions import InvalidManifest
from paradrop.manifest import MAX_SIZE, Manifest, parse
from paradrop.manifest.document import read_document

HEAD = "name: a\nversion: 1\n"
NORMAL = f"{HEAD}type: normal\n"


def problems(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(InvalidManifest) as caught:
        parse(text)
    return caught.value.problems


def only(text: str | bytes) -> str:
    (problem,) = problems(text)
    return problem


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "~", "---\n"])
def test_empty(text: str) -> None:
    assert only(text) == "paradrop.yaml: is empty"


@pytest.mark.parametrize("text", ["hello", "- name: a", "5", "''"])
def test_not_a_mapping(text: str) -> None:
    assert only(text).startswith("paradrop.yaml: is not a mapping")


def test_not_yaml_says_where() -> None:
    assert only("name: a\nversion: 1: 2").startswith("line 2, column 11: this is not YAML")
    assert only("name: a\nversion: [1").endswith("while parsing a flow sequence from line 2")
    assert only("name: a\x00").startswith("paradrop.yaml: this is not YAML")


def test_not_utf_8() -> None:
    assert only(b"name: \xff") == "paradrop.yaml: is not UTF-8 text"
    assert only("name: \ud800") == "paradrop.yaml: is not UTF-8 text"


@pytest.mark.parametrize("text", [b"a" * (10 << 20), "a" * (10 << 20), "é" * MAX_SIZE])
def test_ten_megabytes_are_not_parsed(text: str | bytes) -> None:
    assert only(text) == "paradrop.yaml: is longer than 256 KiB"


def test_everything_a_yaml_text_may_not_have_is_told_with_its_line() -> None:
    text = 'a: &x 1\nb: *x\na: 3\n5: 5\nc: .inf\nd: 1e999\ne: !!str x\nf: "\\0"\n---\ng: 1'
    told = problems(text)
    assert [problem.partition(":")[0] for problem in told] == [f"line {line}" for line in range(1, 10)]
    wanted = ("anchor", "alias", "twice (first on line 1)", "quotes", "finite", "finite", "tag", "control", "second document")
    assert all(word in problem for word, problem in zip(wanted, told, strict=True))


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert any("alias" in problem for problem in problems("\n".join(lines)))


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, "{a: " * 50_000])
def test_deep_nesting_ends_early(text: str) -> None:
    assert "nested" in only(text)


def test_too_many_values() -> None:
    assert "more than 10000 values" in only("a: [" + "1," * 20_000 + "]")


@pytest.mark.parametrize("name", ["../../x", "A B", "x" * 300, "9a", "-a", "a\\n", ""])
def test_bad_names(name: str) -> None:
    written = f'"{name}"'
    assert only(f"name: {written}\nversion: 1\ntype: normal").startswith("name: ")
    assert any(problem.startswith("services.") for problem in problems(f"{HEAD}services: {{{written}: {{type: normal}}}}"))


@pytest.mark.parametrize("name", sorted(uris.RESERVED_NAMES))
def test_reserved_names(name: str) -> None:
    assert f"{name!r} is reserved" in only(f"name: {name}\nversion: 1\ntype: normal")
    assert parse(f"{HEAD}services: {{{name}: {{type: normal}}}}")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("descripton: x", "descripton: is not a key that is known here; did you mean 'description'?"),
        ("colour: x", "colour: is not a key that is known here"),
        ("description: 5", "description: 5 is not a text"),
        ("resources: 5", "resources: 5 is not a mapping"),
        ("resources:", "resources: is empty, and must be a mapping"),
        ("resources: {cpu: abc}", "resources.cpu: 'abc' is not a number"),
        ("resources: {cpu: true}", "resources.cpu: true is not a number"),
        ("resources: {cpu: 0}", "resources.cpu: 0 is less than 0.01"),
        ("resources: {cpu: 1000}", "resources.cpu: 1000 is more than 512"),
        ("resources: {pids: 1.5}", "resources.pids: 1.5 is not a whole number"),
        ("resources: {pids: 0}", "resources.pids: 0 is less than 1"),
        ("resources: {memory: 1M}", "resources.memory: 1M is too little; a service needs 6M or more"),
        ("resources: {memory: 5000G}", "resources.memory: 5000G is too much; at most 1T"),
        ("resources: {memory: lots}", "resources.memory: 'lots' is not a size: a number of bytes, or such as 64M or 64MiB"),
        ("environment: {A: [1]}", "environment.A: a list is not a text, a number or true or false"),
        ("environment: {A: }", "environment.A: is empty, and must be a text, a number or true or false"),
        ("environment: {PARADROP_A: 1}", "environment.PARADROP_A: is reserved: names with PARADROP_ are set by the device"),
        ("web: {port: 0}", "web.port: 0 is less than 1"),
        ("web: {port: 65536}", "web.port: 65536 is more than 65535"),
        ("web: {}", "web.port: is missing"),
        ("web: {service: b, port: 1}", "web.service: there is no service 'b'; there is main"),
        ("health: {}", "health: needs one of procedure, http and command, and only one"),
        ("health: {procedure: x, command: y}", "health: needs one of procedure, http and command, and only one"),
        ("health: {procedure: a.greet}", "health.procedure: write 'greet', without the chute's own name"),
        ("health: {procedure: 'x y'}", "health.procedure: 'x y' is not a procedure's name, such as greet"),
        ("health: {procedure: x, service: b}", "health.service: there is no service 'b'; there is main"),
        ("health: {procedure: x, start: 0}", "health.start: 0 is out of range; from 100ms to 24h"),
        (
            "health: {procedure: x, start: soon}",
            "health.start: 'soon' is not a duration: a number of seconds, or such as 5s or 1m",
        ),
        ("health: {http: {port: 80, path: x}}", "health.http.path: 'x' is not a path, such as /health"),
        ('health: {command: "\'"}', 'health.command: "\'" cannot be split into words: no closing quotation'),
        ("command: []", "command: is empty"),
        ("command: ' '", "command: is empty"),
        ("use: x", "use: cannot be used with type normal, which is built from a Dockerfile"),
        ("config: {web: {port: 1}}\nweb: {port: 1}", "config.web: is here twice: once as web and once in config"),
        ("fabric: {uses: [clock]}", "fabric.uses[0]: 'clock' is only the first part of a name; everything below it is 'clock.*'"),
        ("fabric: {uses: ['a.*.b']}", "fabric.uses[0]: 'a.*.b' is not a name on the fabric, such as clock.now or clock.*"),
        ("fabric: {uses: ['a b.c']}", "fabric.uses[0]: 'a b.c' is not a name on the fabric, such as clock.now or clock.*"),
        ("fabric: {uses: [wamp.session.list]}", "fabric.uses[0]: 'wamp.session.list' belongs to the router; no chute may use it"),
        ("fabric: {shares: ['a.*.b']}", "fabric.shares[0]: 'a.*.b' is none of the chute's own names, such as greet, data.* or *"),
        ("fabric: {shares: ['']}", "fabric.shares[0]: '' is none of the chute's own names, such as greet, data.* or *"),
        (
            "fabric: {shares: [org.paradrop.x]}",
            "fabric.shares[0]: 'org.paradrop.x' is a whole name; a chute's own are written without its name, such as greet",
        ),
        ("fabric: {uses: ['wamp.*']}", "fabric.uses[0]: 'wamp.*' belongs to the router; no chute may use it"),
        ("fabric: {uses: ['org.*']}", "fabric.uses[0]: 'org.*' is outside org.paradrop., where everything of Paradrop is"),
    ],
)
def test_one_problem(more: str, problem: str) -> None:
    assert only(NORMAL + more) == problem


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ("{type: lihgt}", "type: 'lihgt' is not one of normal, light, image; did you mean 'light'?"),
        ("{}", "type: is missing"),
        ("{type: image}", "image: is missing; type image needs an image"),
        ("{type: normal, image: x}", "image: cannot be used with type normal, which is built from a Dockerfile"),
        ("{type: image, image: x, source: y}", "source: cannot be used with type image, which is not built"),
        ("{type: light, image: a/b, command: x}", "image: 'a/b' is not a base image's name, such as python3"),
        ("{type: normal, source: ../x}", "source: '../x' leaves the chute's folder; write a path below it"),
        ("{type: normal, source: /x}", "source: '/x' leaves the chute's folder; write a path below it"),
        ("{type: normal, source: ''}", "source: '' is not a folder"),
        ("{type: normal, command: [1]}", "command[0]: 1 is not a text"),
        ("{type: normal, requests: {port-bindings: [{external: 1}]}}", "requests.port-bindings[0].internal: is missing"),
    ],
)
def test_one_problem_of_a_service(service: str, problem: str) -> None:
    assert only(f"{HEAD}services: {{main: {service}}}") == f"services.main.{problem}"


def test_a_light_service_needs_both() -> None:
    told = problems(f"{HEAD}services: {{main: {{type: light}}}}")
    assert [problem.partition(":")[0] for problem in told] == ["services.main.image", "services.main.command"]


def test_two_services_on_one_port() -> None:
    binding = "{type: normal, requests: {port-bindings: [{external: 80, internal: 1}]}}"
    told = only(f"{HEAD}services: {{one: {binding}, two: {binding}}}")
    assert told == "services.two.requests.port-bindings[0].external: port 80 (tcp) is bound by service 'one' already"


def test_with_several_services_web_and_health_name_theirs() -> None:
    told = problems(f"{HEAD}services: {{b: {{type: normal}}, c: {{type: normal}}}}\nweb: {{port: 1}}\nhealth: {{procedure: x}}")
    reason = "service: is missing; with several services it is one of b, c"
    assert told == (f"web.{reason}", f"health.{reason}")


def test_one_form_or_the_other() -> None:
    assert only(f"{NORMAL}services: {{b: {{type: normal}}}}").startswith("services: cannot stand beside type, use")
    assert only(HEAD) == "services: is missing"
    assert only(f"{HEAD}services: {{}}") == "services: is empty"


def test_all_problems_are_told_at_once() -> None:
    text = "nam: a\nservices: {m: {type: light, requests: {cpu: abc}}}\nweb: {port: x, service: y}"
    paths = {problem.partition(":")[0] for problem in problems(text)}
    assert paths == {
        *("nam", "name", "version", "web.port", "web.service"),
        *("services.m.image", "services.m.command", "services.m.requests.cpu"),
    }


def test_a_flood_of_problems_is_told_in_part() -> None:
    told = problems(NORMAL + "\n".join(f"key{n}: 1" for n in range(4000)))
    assert len(told) == 100
    assert len(only(f"{NORMAL}resources: {{memory: {'x' * 100_000}}}")) < 1000


texts = st.text(max_size=20)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
parts = st.sampled_from(["name", "version", "environment", "services", "web", "fabric", "health", "resources", "type", "config"])


def outcome(read: Callable[[str | bytes], object], text: str | bytes) -> object:
    try:
        return read(text)
    except InvalidManifest as refused:
        return refused.problems


@settings(deadline=None)
@given(st.dictionaries(parts, trees), trees)
def test_whatever_is_written_is_a_manifest_or_a_list_of_problems(document: dict[str, object], service: object) -> None:
    document.setdefault("services", {"main": service})
    result = outcome(parse, yaml.safe_dump(document))
    assert isinstance(result, Manifest) or (isinstance(result, tuple) and all(": " in problem for problem in result))


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:{}[]-&*!|>'\"#%?, \n\t0.", max_size=60))
def test_whatever_is_read_is_a_mapping_or_refused(text: bytes | str) -> None:
    result = outcome(read_document, text)
    assert isinstance(result, dict) or (isinstance(result, tuple) and result)
