"""The commands that ask one question and show the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from paradrop.base.exceptions import ChuteNotFound
from paradrop.values import (
    ChangeRecord,
    ChangeState,
    ChuteState,
    ChuteStatus,
    EngineInfo,
    NodeInfo,
    ProcedureInfo,
    ServiceStatus,
    Setting,
    StepRecord,
    StepState,
    plain,
    read,
)
from pdtools.testing import EPOCH, Bench

NODE = NodeInfo(
    name="living-room",
    pdid=None,
    version="1.0.0",
    mode="local",
    started=EPOCH - 90_000,
    now=EPOCH,
    engine=EngineInfo(name="process", isolates=("files", "processes"), shares=("network",)),
    site="http://127.0.0.1:8080/",
    chutes=3,
    running=2,
    processors=1,
    memory_total=4_000_000_000,
    memory_available=1_000_000_000,
)


def test_the_device_at_a_glance(bench: Bench) -> None:
    bench.realm.offer("node.info", lambda: plain(NODE))
    result = bench.run("status")
    assert result.code == 0
    lines = dict(line.split(None, 1) for line in result.out.splitlines() if " " in line)
    assert lines["device"] == "living-room"
    assert lines["pdid"] == "not provisioned"
    assert lines["paradropd"].startswith("1.0.0, local, up 1d 1h, ")
    assert lines["chutes"] == "2 of 3 running"
    assert lines["shares"] == "network"
    assert lines["load"] == "0.00 on 1 processor"
    assert lines["memory"] == "1.0 GB free of 4.0 GB"


def test_an_engine_that_does_not_answer(bench: Bench) -> None:
    engine = EngineInfo(name="docker", available=False, detail="no socket")
    bench.realm.offer("node.info", lambda: plain(replace(NODE, engine=engine)))
    assert "docker: not available (no socket)" in bench.run("status").out


def test_status_as_json_is_the_value(bench: Bench) -> None:
    bench.realm.offer("node.info", lambda: plain(NODE))
    assert read(NodeInfo, json.loads(bench.run("status", "--json").out)) == NODE


def test_chutes_as_a_table(bench: Bench, hello: ChuteStatus) -> None:
    failed = replace(hello, name="clock", state=ChuteState.FAILED, since=None, web="/chutes/clock/", detail="main: out of memory")
    bench.realm.offer("chutes.list", lambda: plain([hello, failed]))
    assert bench.run("ps").out.splitlines() == [
        "NAME   VERSION  STATE    UP     SERVICES  RESTARTS  WEB             DETAIL",
        "hello  1.1      running  1h 6m  1/1       1         -",
        "clock  1.1      failed   -      1/1       1         /chutes/clock/  main: out of memory",
    ]


def test_columns_that_would_be_empty_are_left_out(bench: Bench, hello: ChuteStatus) -> None:
    bench.realm.offer("chutes.list", lambda: plain([hello]))
    assert bench.run("ps").out.splitlines()[0].split() == ["NAME", "VERSION", "STATE", "UP", "SERVICES", "RESTARTS"]


def test_no_chutes(bench: Bench) -> None:
    bench.realm.offer("chutes.list", list)
    result = bench.run("ps")
    assert (result.code, result.out) == (0, "")
    assert "pdtools deploy" in result.err
    assert bench.run("ps", "--json").out == "[]\n"


def test_the_services_of_one_chute(bench: Bench, hello: ChuteStatus) -> None:
    services = (ServiceStatus(name="db", state=ChuteState.FAILED, exit_code=137, detail="out of memory", image="x:1"),)
    bench.realm.offer("chutes.get", lambda name: plain(replace(hello, services=services)))
    assert bench.run("ps", "hello").out.splitlines()[1].split(None, 6) == [
        "db",
        "failed",
        "-",
        "0",
        "137",
        "x:1",
        "out of memory",
    ]


def test_a_chute_that_is_not_there(bench: Bench) -> None:
    def none(name: str) -> Any:
        raise ChuteNotFound(f"there is no chute {name!r}")

    bench.realm.offer("chutes.get", none)
    result = bench.run("ps", "nope")
    assert (result.code, result.out, result.err) == (1, "", "Error: there is no chute 'nope'\n")


def test_colours_only_on_a_terminal(bench: Bench, screen: Bench, hello: ChuteStatus) -> None:
    for one in (bench, screen):
        one.realm.offer("chutes.list", lambda: plain([hello]))
    assert "\x1b[32mrunning" in screen.run("ps").out
    assert "\x1b" not in bench.run("ps").out


def test_changes(bench: Bench, change: Any) -> None:
    records = [
        change(),
        change(id="c6", state=ChangeState.FAILED, created=EPOCH - 3000, finished=EPOCH - 2990, reason="no\nmore"),
    ]
    bench.realm.offer("changes.list", lambda limit, chute: plain(records[:limit]))
    head, first, second = bench.run("changes").out.splitlines()
    assert head.split()[:3] == ["ID", "WHEN", "CHANGE"]
    assert first.split()[0] == "c7"
    assert second.endswith("failed    10s   control socket  no")
    assert len(bench.run("changes", "-n", "1").out.splitlines()) == 2
    bench.run("changes", "--chute", "hello")
    assert bench.realm.called("changes.list")[-1].keywords == {"limit": 20, "chute": "hello"}


def test_one_change_with_its_steps(bench: Bench, change: Any) -> None:
    steps = (
        StepRecord(title="build main", state=StepState.DONE, started=EPOCH, finished=EPOCH + 1.25),
        StepRecord(title="start main", state=StepState.FAILED),
        StepRecord(title="check", state=StepState.WAITING),
    )
    record = change(steps=steps, state=ChangeState.ROLLED_BACK, reason="it exits\nat once", finished=EPOCH + 2)
    bench.realm.offer("changes.get", lambda identity: plain(record))
    out = bench.run("changes", "c7").out
    assert "✓ build main  1.2s" in out
    assert "✗ start main" in out
    assert "· check" in out
    assert "rolled back" in out
    assert "it exits" in out
    assert "at once" in out
    assert read(ChangeRecord, json.loads(bench.run("changes", "c7", "--json").out)) == record


def test_procedures_by_their_short_names(bench: Bench) -> None:
    infos = [
        ProcedureInfo(uri="org.paradrop.local.chute.hello.greet", match="exact", owner="hello"),
        ProcedureInfo(uri="org.paradrop.local.chutes.list", match="exact", owner="daemon"),
    ]
    bench.realm.offer("fabric.procedures", lambda: plain(infos))
    rows = [line.split() for line in bench.run("procedures").out.splitlines()[1:]]
    assert rows == [["chutes.list", "daemon", "exact"], ["hello.greet", "hello", "exact"]]
    assert json.loads(bench.run("procedures", "--json").out)[0]["owner"] == "hello"


ENGINE = Setting(key="ENGINE", value="auto", default="auto", source="default", description="what runs chutes")


def test_settings(bench: Bench) -> None:
    bench.realm.offer("config.show", lambda: plain([ENGINE, replace(ENGINE, key="L", value=["a", 1], source="settings.ini")]))
    assert [line.split()[:3] for line in bench.run("config", "show").out.splitlines()[1:]] == [
        ["ENGINE", "auto", "default"],
        ["L", "a,", "1"],
    ]
    bench.realm.offer("config.get", lambda key: plain(replace(ENGINE, key=key, value=None)))
    assert bench.run("config", "get", "X").out == "\n"
    assert json.loads(bench.run("config", "get", "X", "--json").out)["value"] is None


@pytest.mark.parametrize(
    ("source", "restart", "said"),
    [
        ("settings.ini", False, "ENGINE = auto"),
        ("settings.ini", True, "ENGINE = auto: used after the next start of paradropd."),
        ("environment", True, "ENGINE = auto: the environment of paradropd says so, and has precedence"),
    ],
)
def test_setting_says_when_it_counts(bench: Bench, source: str, restart: bool, said: str) -> None:
    bench.realm.offer("config.set", lambda key, value: plain(replace(ENGINE, source=source, restart=restart)))
    assert bench.run("config", "set", "ENGINE", "-1").out.startswith(said)
    assert bench.realm.called("config.set")[0].args == ("ENGINE", "-1")


def test_the_dashboard_is_opened_where_there_is_a_display(bench: Bench) -> None:
    bench.realm.offer("people.link", lambda: {"url": "http://x/#login=1", "expires": EPOCH})
    assert bench.run("dashboard").out == "http://x/#login=1\n"
    bench.run("dashboard", "--no-open")
    bench.run("dashboard", "--json")
    assert bench.opened == ["http://x/#login=1"]


def test_an_answer_of_another_shape_is_an_error_and_no_traceback(bench: Bench) -> None:
    bench.realm.offer("chutes.get", lambda name: {"nonsense": 1})
    result = bench.run("ps", "hello")
    assert result.code == 2
    assert result.err.startswith("Error: not a ChuteStatus")
