"""Output: streams, capture, the log on disk, and that everything is put back at the end."""

from __future__ import annotations

import io
import logging
import re
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from queue import Full, Queue
from typing import Any

import pytest
from twisted.logger import Logger, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure

from paradrop.base import output as module
from paradrop.base._printing import Backlog, Item
from paradrop.base.exceptions import InvalidInput
from paradrop.base.output import (
    SOURCE,
    BaseOutput,
    ExceptionOutput,
    Level,
    Output,
    OutputRedirect,
    PrintLogThread,
    TwistedException,
    TwistedOutput,
    logPrefix,
    parseLogPrefix,
)
from paradrop.logstore import MAX_TEXT, LogStore

NOON = 1_795_262_400.0
DAY = 86_400.0


class Wall:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


@pytest.fixture
def out(wall: Wall) -> Iterator[Output]:
    output = Output(
        wall=wall,
        header=BaseOutput(Level.HEADER),
        verbose=BaseOutput(Level.VERBOSE),
        info=BaseOutput(Level.INFO),
        warn=BaseOutput(Level.WARN),
        err=BaseOutput(Level.ERR),
        exception=ExceptionOutput(Level.ERR),
        twisted=TwistedOutput(Level.INFO),
        twistedErr=TwistedException(Level.ERR),
    )
    yield output
    output.endLogging()


@pytest.fixture
def start(out: Output, tmp_path: Path, publisher: LogPublisher) -> Callable[..., Output]:
    def start(**options: Any) -> Output:
        options = {"filePath": tmp_path, "printToConsole": False, "publisher": publisher, **options}
        out.startLogging(**options)
        return out

    return start


def messages(out: Output, target: float = 0.0) -> list[str]:
    return [each["message"] for each in out.getLogsSince(target)]


def here() -> int:
    return sys._getframe(1).f_lineno


def test_levels_are_the_reference_s() -> None:
    assert {level.name: level.value for level in Level} == {"HEADER": 1, "VERBOSE": 2, "INFO": 3, "PERF": 4, "WARN": 5, "ERR": 6}


def test_the_module_has_every_stream() -> None:
    plain = {"header", "testing", "verbose", "info", "usage", "perf", "warn", "err", "fatal"}
    assert set(module.out._streams) == plain | {"exception", "twisted", "twistedErr"}
    assert module.out.info.func.__self__ is module.out


def test_a_message_becomes_a_log_structure(start: Callable[..., Output]) -> None:
    out = start()
    out.info("hello", {"a": 1}, chute="x", thing=Path("p"))
    line = here() - 1
    (structure,) = out.getLogsSince(0)
    assert structure == {
        "message": "hello {'a': 1}",
        "type": "INFO",
        "timestamp": NOON,
        "package": __name__.rpartition(".")[0],
        "module": __name__.rpartition(".")[2],
        "line": line,
        "extra": {"chute": "x", "thing": "p"},
        "seq": 1,
    }


def test_a_stream_that_is_not_there_does_nothing(out: Output, capsys: pytest.CaptureFixture[str]) -> None:
    out.nonsense("x", y=1)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(AttributeError):
        _ = out._nonsense


def test_out_of_the_box_it_prints_and_writes_nothing(out: Output, capsys: pytest.CaptureFixture[str]) -> None:
    out.info("to stdout")
    out.err("to stderr")
    printed = capsys.readouterr()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    \[.*test_output:\d+\] to stdout\n", printed.out)
    assert printed.err.endswith(" to stderr\n")
    assert list(out.getLogsSince(0)) == []


def test_a_terminal_gets_colours_and_a_file_none(out: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        monkeypatch.setattr(sys, "stderr", stream)
        out.err("x")
    assert terminal.getvalue() == f"\033[31m{file.getvalue().rstrip()}\033[0m\n"


@pytest.mark.parametrize("problem", [OSError(5, "gone"), ValueError("I/O operation on closed file")])
def test_a_console_that_is_gone_is_no_error(out: Output, monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise problem

    monkeypatch.setattr(sys, "stdout", Broken())
    out.info("x")
    monkeypatch.setattr(sys, "stdout", None)
    out.info("x")


def test_lesser_levels_are_dropped_and_headings_are_not(start: Callable[..., Output]) -> None:
    out = start(level=Level.INFO)
    out.verbose("no")
    out.handlePrint({"message": "no", "type": "VERBOSE"})
    out.header("heading")
    out.info("yes")
    assert messages(out) == ["heading", "yes"]
    start(level=Level.ERR)
    out.warn("no")
    out.header("no")
    out.err("yes")
    assert messages(out) == ["heading", "yes", "yes"]


def test_handle_print_takes_any_structure_and_fills_it_in(start: Callable[..., Output]) -> None:
    out = start()
    out.handlePrint({"message": 5, "type": Level.WARN, "seq": "mine", "text": "mine", "more": object})
    out.handlePrint(None)
    (structure,) = out.getLogsSince(0)
    assert (structure["message"], structure["type"], structure["timestamp"], structure["seq"]) == ("5", "WARN", NOON, 1)
    assert structure["more"] == "<class 'object'>"
    for wrong in ({"message": "x"}, {"type": "INFO"}, {"message": "x", "type": "LOUD"}):
        with pytest.raises(InvalidInput):
            out.handlePrint(wrong)


def test_what_json_cannot_hold_is_left_out_and_the_message_is_not(start: Callable[..., Output]) -> None:
    out = start()
    circle: dict[str, Any] = {}
    circle["self"] = circle
    out.handlePrint({"message": "x", "type": "INFO", "circle": circle})
    assert messages(out) == ["x"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=abc, next", "password=***, next"),
        ('{"password": "a b"}', '{"password": ***}'),
        ("Token: abc def", "Token: *** def"),
        ("access_token=x&y=1", "access_token=***&y=1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("no secrets, no passwords here", "no secrets, no passwords here"),
    ],
)
def test_secrets_are_masked(start: Callable[..., Output], text: str, shown: str) -> None:
    out = start()
    out.info(text)
    assert messages(out) == [shown]


def test_secrets_are_masked_among_the_extras_and_by_own_patterns(start: Callable[..., Output]) -> None:
    out = start()
    out.redact.append(re.compile(r"(pin )\d+"))
    out.info("pin 1234", password="hidden", chute="hello")
    (structure,) = out.getLogsSince(0)
    assert (structure["message"], structure["extra"]) == ("pin ***", {"password": "***", "chute": "hello"})


def test_logs_since_is_lazy_strict_and_ordered(start: Callable[..., Output], wall: Wall) -> None:
    out = start()
    for offset in range(5):
        wall.now = NOON + offset
        out.info(f"+{offset}")
    logs = out.getLogsSince(NOON + 1)
    assert iter(logs) is logs
    assert [each["message"] for each in logs] == ["+2", "+3", "+4"]
    assert [each["timestamp"] for each in out.getLogsSince(NOON + 2)] == [NOON + 3, NOON + 4]


def test_logs_since_opens_only_days_that_can_hold_newer(start: Callable[..., Output], wall: Wall, tmp_path: Path) -> None:
    out = start()
    for _ in range(3):
        out.info("x")
        wall.now += DAY
    out.endLogging()
    for path in sorted((tmp_path / SOURCE).iterdir())[:2]:
        path.unlink()
        path.mkdir()  # opening it would raise
    assert len(messages(out, NOON + 2 * DAY - 60)) == 1


def test_purge_deletes_old_days_after_they_were_read(start: Callable[..., Output], wall: Wall, tmp_path: Path) -> None:
    out = start()
    (tmp_path / SOURCE).mkdir()
    (tmp_path / SOURCE / "foreign.txt").write_text("mine")
    for _ in range(3):
        out.info("x")
        wall.now += DAY
    wall.now -= DAY
    logs = out.getLogsSince(0, purge=True)
    assert next(logs)["seq"] == 1
    assert len(list((tmp_path / SOURCE).iterdir())) == 4
    assert len(list(logs)) == 2
    today = date(2026, 11, 23).isoformat()
    assert sorted(path.name for path in (tmp_path / SOURCE).iterdir()) == [f"{today}.000.jsonl", "foreign.txt"]


def test_logs_survive_a_restart_and_a_torn_line(start: Callable[..., Output], tmp_path: Path) -> None:
    out = start()
    out.info("before")
    out.endLogging()
    (path,) = (tmp_path / SOURCE).iterdir()
    with path.open("ab") as file:
        file.write(b'{"seq":2,"ti')
    start()
    out.info("after")
    assert [(each["seq"], each["message"]) for each in out.getLogsSince(0)] == [(1, "before"), (2, "after")]


def test_a_long_message_comes_back_whole(start: Callable[..., Output]) -> None:
    out = start()
    text = "x" * (3 * MAX_TEXT)
    out.info(text)
    out.info("next")
    assert messages(out) == [text, "next"]


def test_an_existing_store_is_used_and_left_open(start: Callable[..., Output], tmp_path: Path, wall: Wall) -> None:
    heard: list[tuple[str, int]] = []
    store = LogStore(tmp_path / "shared", wall, appended=lambda source, seq: heard.append((source, seq)))
    out = start(filePath=None, store=store)
    out.info("x")
    out.endLogging()
    assert heard == [(SOURCE, 1)]
    assert [line.text for line in store.read(SOURCE).lines] == ["x"]
    store.close()


def test_a_full_disk_only_loses_lines_and_says_so(start: Callable[..., Output]) -> None:
    out = start()
    out.info("before")
    assert messages(out) == ["before"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        out.info("lost")
        assert messages(out) == ["before"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    out.info("after")
    said = list(out.getLogsSince(0))
    assert [each["message"][:20] for each in said] == ["before", "1 line was lost here", "after"]
    assert said[1]["type"] == "ERR"


def test_a_stuck_disk_does_not_grow_memory(start: Callable[..., Output], tmp_path: Path, wall: Wall) -> None:
    stuck, entered = threading.Event(), threading.Event()

    class StuckStore(LogStore):
        def append(self, *args: Any, **kwargs: Any) -> int:
            entered.set()
            stuck.wait(60)
            return super().append(*args, **kwargs)

    store = StuckStore(tmp_path / "stuck", wall)
    out = start(store=store)
    out.info("first")
    assert entered.wait(60)
    for _ in range(100):
        out.info("x" * 100_000)
    assert out._thread is not None
    assert out._thread.queue.qsize() < 5 << 20
    dropped = out._lost
    assert 0 < dropped < 100
    stuck.set()
    assert out._thread.flush(60)
    out.info("last")
    said = messages(out)
    assert said[-2:] == [f"{dropped} messages were lost here: the disk is too slow", "last"]
    assert len(said) == 100 - dropped + 3
    out.endLogging()
    store.close()


def test_the_backlog_counts_bytes() -> None:
    backlog = Backlog(5000)
    item: Item = {"message": "x" * 2000}
    backlog.put_nowait(item)
    backlog.put_nowait(item)
    with pytest.raises(Full):
        backlog.put_nowait(item)
    assert backlog.get_nowait() is item
    backlog.put_nowait(None)
    assert backlog.get_nowait() is item
    assert backlog.get_nowait() is None
    assert backlog.qsize() == 0


def test_print_log_thread_writes_until_the_end(tmp_path: Path, wall: Wall) -> None:
    queue: Queue[Item] = Queue()
    thread = PrintLogThread(tmp_path, queue, "other", wall=wall)
    queue.put({"message": "a", "type": "INFO", "timestamp": NOON})
    thread.start()
    assert thread.finish(60)
    thread.store.close()
    assert [record["text"] for record in LogStore(tmp_path, wall).since("other", 0)] == ["a"]


def test_stdio_is_taken_and_given_back(start: Callable[..., Output], monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    out = start(stealStdio=True)
    print("one")
    print("two\nthree", end="")
    print("loud", file=sys.stderr)
    out.endLogging()
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "")
    assert [(each["message"], each["type"], each["module"]) for each in out.getLogsSince(0)][:3] == [
        ("one", "INFO", "test_output"),
        ("two", "INFO", "test_output"),
        ("loud", "WARN", "test_output"),
    ]
    assert messages(out)[3] == "three"


def test_what_was_taken_is_shown_once_when_asked(start: Callable[..., Output], monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    out = start(stealStdio=True, printToConsole=True)
    print("one")
    out.info("two")
    out.endLogging()
    assert [line.rpartition("] ")[2] for line in stdout.getvalue().splitlines()] == ["one", "two"]


def test_somebody_else_s_redirect_on_top_is_left(start: Callable[..., Output], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    out = start(stealStdio=True)
    theirs = io.StringIO()
    monkeypatch.setattr(sys, "stdout", theirs)
    out.endLogging()
    assert sys.stdout is theirs


def test_output_redirect_by_itself() -> None:
    true, heard = io.StringIO(), []
    redirect = OutputRedirect(
        true, lambda structure, output: heard.append((structure["message"], structure["type"], output)), Level.PERF
    )
    assert redirect.write("a\r\n\n  \nb") == 8
    assert heard == [("a", "PERF", true)]
    redirect.flush()
    redirect.writelines(["c\n"])
    assert heard[-1] == ("bc", "PERF", true)
    redirect.trueWrite("really")
    assert true.getvalue() == "really"
    assert not redirect.isatty()
    assert redirect.seekable()
    redirect.finish()
    assert len(heard) == 2


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    heard: list[str] = []
    redirect = OutputRedirect(io.StringIO(), lambda structure, _: heard.append(structure["message"]), Level.INFO)
    for _ in range(100):
        redirect.write("x" * 1000)
    redirect.finish()
    assert "".join(heard) == "x" * 100_000
    assert len(heard) > 5


def test_twisted_s_events_arrive_with_their_levels(start: Callable[..., Output], publisher: LogPublisher) -> None:
    out = start()
    log = Logger(namespace="autobahn.wamp.protocol", observer=publisher)
    log.debug("low")
    log.info("hello {name}", name="World")
    log.warn("careful")
    log.error("bad")
    log.critical("worse")
    log.info("Starting factory <x>")
    said = [(each["message"], each["type"], each["package"], each["module"]) for each in out.getLogsSince(0)]
    assert said[1] == ("hello World", "INFO", "autobahn.wamp", "protocol")
    assert [(message, kind) for message, kind, *_ in said] == [
        ("low", "VERBOSE"),
        ("hello World", "INFO"),
        ("careful", "WARN"),
        ("bad", "ERR"),
        ("worse", "ERR"),
    ]


def test_twisted_s_failures_arrive_with_their_traceback(start: Callable[..., Output], publisher: LogPublisher) -> None:
    out = start()
    Logger(namespace="x.y", observer=publisher).failure("while doing it", Failure(KeyError("k")))
    (said,) = out.getLogsSince(0)
    assert said["message"].startswith("while doing it\n")
    assert "KeyError" in said["message"]
    assert said["type"] == "ERR"


def test_an_event_by_category_is_told_by_its_values(start: Callable[..., Output], publisher: LogPublisher) -> None:
    out = start()
    Logger(namespace="crossbar.router", observer=publisher).info(log_category="AR999", realm="paradrop")
    assert messages(out) == ["AR999 realm=paradrop"]


def test_old_style_events_are_understood() -> None:
    structure = TwistedOutput(Level.INFO)({"message": ("hello", "there"), "system": "a.b", "time": 5.0, "isError": 0})
    assert structure is not None
    assert (structure["message"], structure["module"], structure["timestamp"]) == ("hello there", "b", 5.0)
    assert TwistedOutput(Level.INFO)({"message": ("Log opened.",), "isError": 0}) is None
    error = TwistedException(Level.ERR)({"isError": 1, "failure": Failure(KeyError("k")), "why": "reason", "message": ()})
    assert error is not None
    assert "KeyError" in error["message"]
    assert TwistedOutput.blacklist == ["Starting factory", "Stopping factory", "Log opened"]


def test_the_real_publisher_has_our_observer_only_between_start_and_end(out: Output, tmp_path: Path) -> None:
    before = list(globalLogPublisher._observers)
    out.startLogging(tmp_path, printToConsole=False)
    Logger(namespace="n").info("through the real one")
    assert messages(out) == ["through the real one"]
    out.endLogging()
    assert list(globalLogPublisher._observers) == before
    out.endLogging()
    Logger(namespace="n").info("after the end")
    assert messages(out) == ["through the real one"]


def test_starting_twice_begins_anew(start: Callable[..., Output], publisher: LogPublisher) -> None:
    out = start()
    start()
    Logger(namespace="n", observer=publisher).info("once")
    assert messages(out) == ["once"]


def test_no_thread_is_left_behind(start: Callable[..., Output]) -> None:
    before = threading.active_count()
    out = start()
    assert threading.active_count() == before + 1
    out.endLogging()
    assert threading.active_count() == before


def fails() -> None:
    raise KeyError("nope")


def test_exceptions_come_with_traceback_and_place(start: Callable[..., Output]) -> None:
    out = start()
    try:
        fails()
    except KeyError as error:
        out.exception(error, "while testing", chute="x")
        out.exception()
    out.exception(Failure(ValueError("f")))
    out.exception("only words")
    first, second, third, fourth = out.getLogsSince(0)
    assert first["message"].startswith("while testing\nTraceback")
    assert first["message"].endswith("KeyError: 'nope'")
    assert (first["module"], first["line"]) == ("test_output", fails.__code__.co_firstlineno + 1)
    assert first["extra"] == {"chute": "x"}
    assert second["message"].endswith("KeyError: 'nope'")
    assert "ValueError: f" in third["message"].replace("builtins.", "")
    assert (fourth["message"], fourth["type"]) == ("only words", "ERR")


def test_message_to_string_uses_the_stream_s_own_format() -> None:
    class Loud(BaseOutput):
        def formatOutput(self, logDict: dict[str, Any]) -> str:
            return str(logDict["message"]).upper()

    output = Output(warn=Loud(Level.WARN), info=BaseOutput(Level.INFO))
    assert output.messageToString({"message": "x", "type": "WARN"}) == "X"
    assert output.messageToString({"message": "x", "type": "INFO", "timestamp": NOON, "extra": {"a": 1}}).endswith(
        "INFO    x a=1"
    )
    assert output.messageToString({"message": "x", "type": "ERR", "timestamp": NOON}).endswith("ERR     x")


def test_log_prefix_counts_steps() -> None:
    def inner(steps: int) -> tuple[str, str, int]:
        return logPrefix(steps)

    inside, outside, line = inner(0), inner(1), here()
    assert inside[1] == outside[1] == "test_output"
    assert inside[2] == inner.__code__.co_firstlineno + 1
    assert outside[2] == line
    assert logPrefix(10_000) == ("", "", 0)


def test_parse_log_prefix() -> None:
    try:
        fails()
    except KeyError as error:
        prefix = parseLogPrefix(traceback.extract_tb(error.__traceback__))
    assert prefix == ("base", "test_output", fails.__code__.co_firstlineno + 1)
    assert parseLogPrefix([("/a/pack/mod.py", 7, "f", "text")]) == ("pack", "mod", 7)
    assert parseLogPrefix([]) == ("", "", 0)


def test_importing_takes_nothing_over() -> None:
    assert not isinstance(sys.stdout, OutputRedirect)
    assert not any(isinstance(handler, Output) for handler in logging.getLogger().handlers)
    assert module.out._thread is None


def test_what_a_message_quotes_neither_steers_the_console_nor_forges_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(info=BaseOutput(Level.INFO))
    out.info("asked for \x1b[2J a\n2026-11-21 09:99:99 INFO    [paradropd] forged")
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\n2026" not in told


def test_a_message_without_end_is_cut_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    Output(info=BaseOutput(Level.INFO)).info("x" * 3_000_000)
    assert len(capsys.readouterr().out) < 10_000
