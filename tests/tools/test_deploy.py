"""``deploy`` and the changes that ``start``, ``stop``, ``restart`` and ``remove`` ask for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from paradrop.base.exceptions import ChuteNotFound, InvalidSource, StorageFull, Unreachable
from paradrop.source import sending as send
from paradrop.values import ChangeKind, ChangeState, ChuteStatus, SourceTree, StepRecord, StepState, plain, read
from pdtools import watch
from pdtools.testing import Bench

MANIFEST = """
name: hello
version: "1.2"
services:
  main: {type: light, image: python3, command: [python3, main.py]}
"""
DONE = {"state": ChangeState.DONE}


class Blobs:
    """The daemon's blobs: pieces in order, the answer says where to go on."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.partial: dict[str, bytes] = {}
        self.whole: dict[str, bytes] = {}
        self.pieces: list[tuple[int, int]] = []
        """Offset and length of each piece that was taken."""
        self.lose_at: int | None = None
        """Break the link instead of taking that piece."""
        bench.realm.offer("blobs.missing", lambda digests: [digest for digest in digests if digest not in self.whole])
        bench.realm.offer("blobs.put", self.put)

    def put(self, digest: str, size: int, offset: int, data: bytes) -> dict[str, int]:
        have = self.partial.setdefault(digest, b"")
        if len(self.pieces) == self.lose_at:
            self.lose_at = None
            self.bench.realm.lose()
            raise Unreachable
        if offset == len(have) and (data or not size):
            self.pieces.append((offset, len(data)))
            have = self.partial[digest] = have + data
        if len(have) == size:
            assert hashlib.sha256(have).hexdigest() == digest
            self.whole[digest] = have
        return {"have": len(have)}


@pytest.fixture
def blobs(bench: Bench) -> Blobs:
    return Blobs(bench)


@pytest.fixture
def chute(tmp_path: Path) -> Path:
    (tmp_path / "paradrop.yaml").write_text(MANIFEST)
    (tmp_path / "main.py").write_text("print(1)\n")
    return tmp_path


@pytest.fixture
def deploys(bench: Bench, blobs: Blobs, changes: Any, chute: Path) -> Any:
    bench.realm.offer("chutes.deploy", changes.accept)
    return changes


def steps(*states: StepState) -> tuple[StepRecord, ...]:
    return tuple(StepRecord(title=f"step {number}", state=state) for number, state in enumerate(states, 1))


def test_only_what_is_missing_is_sent_and_the_end_is_awaited(bench: Bench, deploys: Any, blobs: Blobs, chute: Path) -> None:
    digest = hashlib.sha256((chute / "main.py").read_bytes()).hexdigest()
    blobs.whole[digest] = b""
    deploys.after(5, **DONE)
    result = bench.run("deploy", str(chute))
    assert (result.code, result.out) == (0, "hello 1.2 runs.\n")
    assert bench.clock.seconds() == 5
    assert [call.args[0] for call in bench.realm.called("blobs.put")] == [hashlib.sha256(MANIFEST.encode()).hexdigest()]
    tree = read(SourceTree, bench.realm.called("chutes.deploy")[0].args[0])
    assert {entry.path for entry in tree.entries} == {"paradrop.yaml", "main.py"}


def test_steps_are_lines_when_nobody_watches(bench: Bench, deploys: Any, chute: Path) -> None:
    deploys.after(1, steps=steps(StepState.DONE, StepState.RUNNING), state=ChangeState.RUNNING)
    deploys.after(2, steps=steps(StepState.DONE, StepState.DONE), **DONE)
    assert bench.run("deploy", str(chute)).err.splitlines() == [
        "hello 1.2: 2 files, 114 bytes sent",
        "✓ 1/2 step 1",
        "✓ 2/2 step 2",
    ]


def test_a_bar_on_a_terminal(screen: Bench, chute: Path, change: Any) -> None:
    Blobs(screen)
    screen.realm.offer("chutes.deploy", lambda tree: plain(change(state=ChangeState.DONE, steps=steps(StepState.DONE))))
    result = screen.run("deploy", str(chute))
    assert result.code == 0
    assert "━" in result.err
    assert "step 1" in result.err


def test_json_is_the_final_record_alone(bench: Bench, deploys: Any, chute: Path) -> None:
    deploys.after(1, **DONE)
    assert json.loads(bench.run("deploy", str(chute), "--json").out)["state"] == "done"


@pytest.mark.parametrize(("state", "said"), [(ChangeState.FAILED, "failed"), (ChangeState.ROLLED_BACK, "was rolled back")])
def test_a_deploy_that_was_not_to_be(
    bench: Bench, deploys: Any, chute: Path, hello: ChuteStatus, state: ChangeState, said: str
) -> None:
    bench.realm.offer("chutes.get", lambda name: plain(hello))
    deploys.after(1, state=state, reason="main exits with 3\nlast words")
    result = bench.run("deploy", str(chute))
    assert (result.code, result.out) == (1, "")
    assert f"Error: deploy of hello 1.2 {said}: main exits with 3\n       last words\n" in result.err
    assert "hello 1.1 is running now." in result.err


def test_a_first_deploy_that_failed_and_may_be_tried_again(bench: Bench, deploys: Any, chute: Path) -> None:
    def none(name: str) -> Any:
        raise ChuteNotFound

    bench.realm.offer("chutes.get", none)
    deploys.after(1, state=ChangeState.FAILED, reason="no engine", retry=True)
    result = bench.run("deploy", str(chute), "--json")
    assert result.code == 1
    assert json.loads(result.out)["reason"] == "no engine"
    assert "The same may work when tried again." in result.err
    assert "There is no hello on the device now." in result.err


def test_lost_events_only_make_it_slower(bench: Bench, deploys: Any, chute: Path) -> None:
    deploys.events = False
    deploys.after(1, **DONE)
    assert bench.run("deploy", str(chute)).code == 0
    assert bench.clock.seconds() == watch.SAFETY


def test_older_and_foreign_and_broken_events_change_nothing(bench: Bench, deploys: Any, chute: Path, change: Any) -> None:
    def confuse() -> None:
        bench.realm.emit("changes.updated", plain(change(id="c8", state=ChangeState.FAILED, revision=99)))
        bench.realm.emit("changes.updated", plain(change(state=ChangeState.FAILED, revision=0)))
        bench.realm.emit("changes.updated", {"nonsense": True})
        bench.realm.emit("changes.updated")

    bench.clock.callLater(0.5, confuse)
    deploys.after(1, **DONE)
    assert bench.run("deploy", str(chute)).code == 0


def test_a_link_lost_while_waiting(bench: Bench, deploys: Any, chute: Path) -> None:
    bench.clock.callLater(1, bench.realm.lose, 4.0)
    deploys.after(2, **DONE)
    result = bench.run("deploy", str(chute))
    assert result.code == 0
    assert "Connected again." in result.err
    assert len(bench.realm.called("chutes.deploy")) == 1


def test_a_deploy_is_not_asked_for_twice(bench: Bench, deploys: Any, chute: Path) -> None:
    def deploy(tree: Any) -> Any:
        bench.realm.lose()
        raise Unreachable

    bench.realm.offer("chutes.deploy", deploy)
    result = bench.run("deploy", str(chute))
    assert result.code == 1
    assert "pdtools changes" in result.err
    assert len(bench.realm.called("chutes.deploy")) == 1


def test_a_deploy_without_an_answer_is_not_asked_for_twice(bench: Bench, deploys: Any, chute: Path) -> None:
    bench.realm.offer("chutes.deploy", lambda tree: Deferred())
    assert bench.run("deploy", str(chute)).code == 1
    assert len(bench.realm.called("chutes.deploy")) == 1


def test_ctrl_c_ends_the_waiting_and_not_the_change(bench: Bench, deploys: Any, chute: Path) -> None:
    bench.interrupt_after(1)
    result = bench.run("deploy", str(chute))
    assert result.code == 130
    assert "The change goes on. To see it: pdtools changes c7" in result.err


def test_ctrl_c_before_there_is_a_change(bench: Bench, deploys: Any, chute: Path) -> None:
    bench.realm.offer("blobs.missing", lambda digests: Deferred())
    bench.interrupt_after(1)
    result = bench.run("deploy", str(chute))
    assert result.code == 130
    assert "goes on" not in result.err


def test_a_large_file_goes_on_where_the_link_broke(
    bench: Bench, deploys: Any, blobs: Blobs, chute: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "PIECE", 100)
    (chute / "main.py").write_bytes(bytes(range(250)) * 2)
    (chute / "paradrop.yaml").write_text(MANIFEST.strip()[:-1] + "}")
    blobs.lose_at = 3
    deploys.after(5, **DONE)
    result = bench.run("deploy", str(chute))
    assert result.code == 0
    assert "Connected again." in result.err
    assert [offset for offset, length in blobs.pieces][:5] == [0, 100, 200, 300, 400]
    assert sum(length for _, length in blobs.pieces) == 500 + (chute / "paradrop.yaml").stat().st_size


def test_a_device_that_forgot_what_it_had(bench: Bench, deploys: Any, blobs: Blobs, chute: Path) -> None:
    answers = iter([{"have": 3}, {"have": 0}, {"have": 9}, {"have": 106}, {"have": 200}])
    bench.realm.offer("blobs.put", lambda digest, size, offset, data: next(answers))
    deploys.after(1, **DONE)
    assert bench.run("deploy", str(chute)).code == 0


def test_a_device_that_keeps_nothing(bench: Bench, deploys: Any, chute: Path) -> None:
    bench.realm.offer("blobs.put", lambda digest, size, offset, data: {"have": 0})
    result = bench.run("deploy", str(chute))
    assert result.code == InvalidSource.exit_code
    assert "does not keep" in result.err


def test_no_room_on_the_device(bench: Bench, deploys: Any, chute: Path) -> None:
    def full(digest: str, size: int, offset: int, data: bytes) -> Any:
        raise StorageFull

    bench.realm.offer("blobs.put", full)
    result = bench.run("deploy", str(chute))
    assert result.code == 1
    assert "no room left" in result.err
    assert bench.realm.called("chutes.deploy") == []


def test_an_empty_file_is_sent_too(bench: Bench, deploys: Any, blobs: Blobs, chute: Path) -> None:
    (chute / "empty").write_text("")
    deploys.after(1, **DONE)
    assert bench.run("deploy", str(chute)).code == 0
    assert b"" in blobs.whole.values()


@pytest.mark.parametrize(("text", "said"), [("name: [", "not YAML"), ("name: ../../x\nversion: 1\ntype: normal", "name: ")])
def test_a_bad_manifest_is_refused_before_anything_is_dialled(bench: Bench, chute: Path, text: str, said: str) -> None:
    (chute / "paradrop.yaml").write_text(text)
    result = bench.run("deploy", str(chute))
    assert result.code == 2
    assert said in result.err
    assert bench.realm.links == []


def test_a_folder_that_is_none(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("deploy", str(tmp_path / "nothing"))
    assert result.code == 2
    assert "has no paradrop.yaml" in result.err


VERBS = {
    "start": (ChangeKind.START, "hello started.\n"),
    "stop": (ChangeKind.STOP, "hello stopped.\n"),
    "restart": (ChangeKind.RESTART, "hello restarted.\n"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_of_a_chute(bench: Bench, changes: Any, change: Any, verb: str) -> None:
    kind, said = VERBS[verb]
    changes.record = change(kind=kind)
    bench.realm.offer(f"chutes.{verb}", changes.accept)
    changes.after(1, **DONE)
    result = bench.run(verb, "hello")
    assert (result.code, result.out) == (0, said)
    assert bench.realm.called(f"chutes.{verb}")[0].args == ("hello",)


def test_an_unknown_chute(bench: Bench) -> None:
    def none(name: str) -> Any:
        raise ChuteNotFound

    bench.realm.offer("chutes.stop", none)
    result = bench.run("stop", "nope")
    assert (result.code, result.err) == (1, "Error: There is no chute of that name.\n")


def removable(bench: Bench, change: Any) -> None:
    record = change(kind=ChangeKind.REMOVE, state=ChangeState.DONE)
    bench.realm.offer("chutes.remove", lambda name, keep_data: plain(record))


@pytest.mark.parametrize(("flags", "keep"), [([], False), (["--keep-data"], True)])
def test_remove_wants_a_yes_of_a_script(bench: Bench, change: Any, flags: list[str], keep: bool) -> None:
    removable(bench, change)
    refused = bench.run("remove", "hello", *flags)
    assert (refused.code, refused.out) == (2, "")
    assert "--yes" in refused.err
    assert bench.run("remove", "hello", "--yes", *flags).out == "hello removed.\n"
    assert bench.realm.called("chutes.remove")[0].args == ("hello", keep)


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2), ("", 130)])
def test_remove_asks_a_person(screen: Bench, change: Any, typed: str, code: int) -> None:
    removable(screen, change)
    result = screen.run("remove", "hello", input=typed)
    assert result.code == code
    assert "Remove hello and all its data?" in result.err
    assert len(screen.realm.called("chutes.remove")) == (1 if code == 0 else 0)


def test_remove_with_yes(screen: Bench, change: Any) -> None:
    removable(screen, change)
    assert screen.run("remove", "hello", "--yes").code == 0
