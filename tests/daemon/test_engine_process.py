"""The parts of the process engine that decide or only touch a folder; the whole runs in ``functional``."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from paradrop.base.exceptions import BuildFailed, StartFailed, StorageFull
from paradrop.manifest.model import MIB, Limits
from paradropd.engine.port import SourceFile
from paradropd.engine.process.builder import LAST_LINES, Lines
from paradropd.engine.process.groups import WRAPPERS, GroupLimiter, find, group_name, settings
from paradropd.engine.process.images import MARK, Images
from paradropd.engine.process.limits import ResourceLimits
from paradropd.engine.process.program import environment_of, resolve
from paradropd.engine.process.sandbox import Bubblewrap, Plain, Room, View, dressed, joined
from paradropd.engine.process.view import layers, look

DIGEST = "d" * 64
LIMITS = Limits(memory=64 * MIB, cpu=0.5, pids=10)


def _file(tmp_path: Path, path: str, text: str = "text", executable: bool = False) -> SourceFile:
    content = tmp_path / "blob"
    content.write_text(text)
    return SourceFile(path=path, content=content, size=len(text), executable=executable)


class TestImages:
    def test_an_image_is_there_only_when_it_was_finished(self, tmp_path: Path) -> None:
        images = Images(tmp_path / "images")
        folder = images.lay_out(DIGEST, [_file(tmp_path, "a/b.txt"), _file(tmp_path, "run", executable=True)])
        assert images.path(f"process:{DIGEST}") is None
        assert images.finish(folder) == f"process:{DIGEST}"
        assert images.path(f"process:{DIGEST}") == folder
        assert (folder / "a/b.txt").read_text() == "text"
        assert ((folder / "run").stat().st_mode & 0o111, (folder / "a/b.txt").stat().st_mode & 0o111) == (0o111, 0)

    def test_what_a_cut_short_build_left_is_taken_away(self, tmp_path: Path) -> None:
        images = Images(tmp_path / "images")
        images.lay_out(DIGEST, [_file(tmp_path, "old")])
        folder = images.lay_out(DIGEST, [_file(tmp_path, "new")])
        assert [entry.name for entry in folder.iterdir()] == ["new"]

    @pytest.mark.parametrize("path", ["../out", "a/../../out", "/out", "", MARK, "a/.."])
    def test_no_file_is_written_outside(self, tmp_path: Path, path: str) -> None:
        images = Images(tmp_path / "images")
        with pytest.raises(BuildFailed, match="cannot be a file of an image"):
            images.lay_out(DIGEST, [_file(tmp_path, path)])
        assert not (tmp_path / "out").exists()

    def test_a_file_and_a_folder_of_one_name(self, tmp_path: Path) -> None:
        images = Images(tmp_path / "images")
        with pytest.raises(BuildFailed, match="cannot be laid out"):
            images.lay_out(DIGEST, [_file(tmp_path, "a"), _file(tmp_path, "a/b")])
        assert not (tmp_path / "images" / DIGEST).exists()

    def test_a_full_disk(self, tmp_path: Path) -> None:
        def files() -> Iterator[SourceFile]:
            yield _file(tmp_path, "a")
            raise OSError(errno.ENOSPC, "no space")

        with pytest.raises(StorageFull):
            Images(tmp_path / "images").lay_out(DIGEST, files())
        assert not (tmp_path / "images" / DIGEST).exists()

    @pytest.mark.parametrize("image", ["process:../../etc", "process:", DIGEST, "docker:" + DIGEST])
    def test_a_name_that_is_none(self, tmp_path: Path, image: str) -> None:
        assert Images(tmp_path).path(image) is None


class TestProgram:
    def test_python_is_the_one_that_has_paradrop(self, tmp_path: Path) -> None:
        own = tmp_path / "venv" / "bin" / "python3"
        (default, *_) = resolve(("python3", "main.py"), tmp_path, "")
        assert Path(default) != own
        own.parent.mkdir(parents=True)
        own.touch(mode=0o755)
        assert resolve(("python", "main.py"), tmp_path, "") == (str(own), "main.py")

    def test_a_path_is_relative_to_the_image(self, tmp_path: Path) -> None:
        (tmp_path / "run").touch(mode=0o755)
        assert resolve(("./run", "-v"), tmp_path, "") == (str(tmp_path / "run"), "-v")

    @pytest.mark.parametrize("command", [(), ("nothing",), ("./data",), ("/no/such",), ("./",)])
    def test_what_cannot_be_executed(self, tmp_path: Path, command: tuple[str, ...]) -> None:
        (tmp_path / "data").touch(mode=0o644)
        with pytest.raises(StartFailed):
            resolve(command, tmp_path, str(tmp_path))

    def test_the_engine_says_where_things_are_and_the_chute_the_rest(self, tmp_path: Path) -> None:
        given = {"PARADROP_DATA_DIR": "/wrong", "LANG": "fi_FI", "A": "b"}
        variables = environment_of(given, tmp_path, ("/data", "/paradrop"))
        assert (variables["PARADROP_DATA_DIR"], variables["PARADROP_FABRIC"]) == ("/data", "unix:/paradrop/fabric.sock")
        assert (variables["LANG"], variables["A"], variables["PYTHONUNBUFFERED"]) == ("fi_FI", "b", "1")


VIEW = View(folders=(Path("/usr"),), links={"/bin": "usr/bin"}, hidden=(Path("/usr/home"),), kernel=(Path("/proc/sys"),))
PLAIN = [
    Plain(namespace=namespace, root=root, nobody=nobody)
    for namespace in (True, False)
    for root, nobody in ((True, True), (True, False), (False, False))
]
ROOM = Room(image=Path("/i"), system=Path("/s"), data=Path("/d"))


def _pairs(command: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    return [(command[i + 1], command[i + 2]) for i, word in enumerate(command) if word == option]


def test_what_lies_below_tmp_is_bound_after_it_was_emptied() -> None:
    command = Bubblewrap(View(folders=(Path("/tmp/checkout/.venv"),), links={}), root=True).command(ROOM, ("program",))
    assert command.index("/tmp") < command.index("/tmp/checkout/.venv")


class TestSandbox:
    def test_bubblewrap_shows_only_what_it_must(self) -> None:
        command = Bubblewrap(VIEW, root=True).command(ROOM, ("program", "--bind"))
        end = command.index("--")
        options = command[:end]
        assert set(_pairs(options, "--bind")) == {("/d", "/data")}
        assert set(_pairs(options, "--ro-bind")) == {
            ("/usr", "/usr"),
            ("/proc/sys", "/proc/sys"),
            ("/s", "/paradrop"),
            ("/i", "/i"),
        }
        assert {"--die-with-parent", "--unshare-user", "--unshare-pid", "--cap-drop"} <= set(options)
        assert command[-2:] == ("program", "--bind")

    def test_no_file_system_in_memory_is_without_a_limit(self) -> None:
        command = Bubblewrap(VIEW, root=True).command(ROOM, ("program",))
        made = [index for index, word in enumerate(command) if word == "--tmpfs"]
        assert [command[index + 1] for index in made] == ["/tmp", "/usr/home", "/dev", "/dev/shm"]
        assert all(command[index - 2] == "--size" for index in made)
        # What bubblewrap makes for itself, and all that only holds other things, is closed when it is complete.
        closed = [index for index, word in enumerate(command) if word == "--remount-ro"]
        assert [command[index + 1] for index in closed] == ["/dev", "/usr/home", "/"]
        assert min(closed) > max(index for index, word in enumerate(command) if word in ("--tmpfs", "--ro-bind", "--bind"))

    def test_a_build_may_write_to_its_image_and_sees_no_chute(self) -> None:
        command = Bubblewrap(VIEW, root=False).command(Room(image=Path("/i"), building=True), ("pip",))
        assert _pairs(command, "--bind") == [("/i", "/i")]
        assert "/paradrop" not in command

    @pytest.mark.parametrize("nobody", [True, False])
    @pytest.mark.parametrize("namespace", [True, False])
    def test_plain_always_drops_privileges_and_dies_with_the_daemon(self, nobody: bool, namespace: bool) -> None:
        command = Plain(nobody=nobody, root=True, namespace=namespace).command(ROOM, ("program",))
        assert {"--no-new-privs", "--bounding-set=-all", "--pdeathsig=KILL"} <= set(command)
        assert ("--reuid=65534" in command) is nobody
        assert ("--kill-child=KILL" in command) is namespace

    def test_what_is_isolated_is_not_shared(self) -> None:
        for way in (Bubblewrap(VIEW, root=True), *PLAIN):
            assert {"files", "processes", "network", "users", "privileges"} == {*way.isolates, *way.shares}
            assert not {*way.isolates} & {*way.shares}

    def test_a_program_with_the_daemons_user_is_not_said_to_be_without_its_privileges(self) -> None:
        for way in PLAIN:
            assert ("privileges" in way.isolates) is way.changes_user
            assert "install bubblewrap" in way.detail
        assert "as root" in Plain(namespace=True, root=True).detail
        assert "as you" in Plain(namespace=True, root=False).detail

    def test_a_chutes_loader_variables_reach_nobody_but_the_chute(self) -> None:
        outside, inside = dressed({"LD_PRELOAD": "/data/x.so", "A": "b"}, ("program",))
        assert outside == {"A": "b"}
        assert inside == ("env", "LD_PRELOAD=/data/x.so", "program")

    def test_groups_are_joined_first(self) -> None:
        command = joined((Path("/g/cgroup.procs"),), ("bwrap",))
        assert command[-3:] == ("/g/cgroup.procs", "--", "bwrap")


class TestView:
    def test_the_outermost(self) -> None:
        paths = [Path(path) for path in ("/usr/lib", "/usr", "/opt/a", "/usrx", "/opt/a")]
        assert layers(paths, ()) == ((Path("/usr"), Path("/usrx"), Path("/opt/a")), ())

    def test_a_home_in_what_is_seen_is_hidden_but_for_the_python_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "usr/home/venv/home/data").mkdir(parents=True)
        usr, home, venv = tmp_path / "usr", tmp_path / "usr/home", tmp_path / "usr/home/venv"
        inner = venv / "home"
        assert layers([usr, venv], [home, home / "none"]) == ((usr, venv), (home,))
        assert layers([usr, venv], [inner, inner / "data"]) == ((usr,), (inner,))
        assert layers([usr, venv], [home, inner]) == ((usr, venv), (home, inner))
        assert layers([venv], [home]) == ((venv,), ())

    def test_a_home_that_is_the_python_itself(self, tmp_path: Path) -> None:
        for folder in ("bin", "lib", "data"):
            (tmp_path / folder).mkdir()
        assert layers([tmp_path], [tmp_path]) == ((tmp_path / "bin", tmp_path / "lib"), ())

    def test_a_home_is_hidden_behind_links(self, tmp_path: Path) -> None:
        (tmp_path / "real/home").mkdir(parents=True)
        (tmp_path / "link").symlink_to("real")
        assert layers([tmp_path / "link"], [tmp_path / "real/home"]) == ((tmp_path / "link",), (tmp_path / "link/home",))

    def test_layers_are_laid_from_the_outside_in(self) -> None:
        view = View(
            folders=(Path("/usr"), Path("/usr/home/venv")), links={}, hidden=(Path("/usr/home"), Path("/usr/home/venv/home"))
        )
        command = Bubblewrap(view, root=True).command(ROOM, ("program",))
        order = [command.index(path) for path in ("/usr", "/usr/home", "/usr/home/venv", "/usr/home/venv/home", "/i")]
        assert order == sorted(order)

    def test_a_device(self, tmp_path: Path) -> None:
        for folder in ("usr/bin", "etc/ssl/certs", "etc/ssl/private", "proc/sys", "proc/1", "lib64"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "proc/uptime").touch(mode=0o444)
        (tmp_path / "proc/mtrr").touch(mode=0o644)
        (tmp_path / "bin").symlink_to("usr/bin")
        (tmp_path / "usr/home").mkdir()
        view = look([tmp_path / "usr/home"], tmp_path)
        assert {tmp_path / "usr", tmp_path / "lib64", tmp_path / "etc/ssl/certs"} <= set(view.folders)
        assert not any((tmp_path / "etc/ssl/private").is_relative_to(folder) for folder in view.folders)
        assert view.links == {"/bin": "usr/bin"}
        assert view.hidden == (tmp_path / "usr/home",)
        assert view.kernel == (tmp_path / "proc/mtrr", tmp_path / "proc/sys")


class TestLimits:
    def test_the_settings_of_both_versions(self) -> None:
        new = {**settings("memory", LIMITS, unified=True), **settings("cpu", LIMITS, unified=True)}
        assert new == {"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "50000 100000"}
        old = {**settings("memory", LIMITS, unified=False), **settings("cpu", LIMITS, unified=False)}
        assert (old["memory.limit_in_bytes"], old["cpu.cfs_quota_us"]) == ("67108864", "50000")
        assert settings("pids", LIMITS, unified=True) == {"pids.max": str(10 + WRAPPERS)}

    def test_without_groups_every_process_is_limited_alone(self) -> None:
        cell = ResourceLimits(LIMITS)
        assert cell.wrap(("x",), countable=True) == ("prlimit", "--data=67108864", "--nproc=10", "--core=0", "x")
        assert "--nproc=10" not in cell.wrap(("x",), countable=False)

    def test_two_homes_never_share_groups(self, tmp_path: Path) -> None:
        assert group_name("d", tmp_path / "a") != group_name("d", tmp_path / "b")
        assert group_name("d", tmp_path / "a") == group_name("d", tmp_path / "x" / ".." / "a")

    def test_a_machine_without_groups(self, tmp_path: Path) -> None:
        assert find("d", tmp_path, "0::/\n").words == {"memory per process"}

    def test_older_hierarchies_that_may_be_had_are_used(self, tmp_path: Path) -> None:
        for controller in ("memory", "pids"):
            (tmp_path / controller / "own").mkdir(parents=True)
            (tmp_path / controller / "own" / "cgroup.procs").touch()
        limiter = find("pd.acme/r1", tmp_path, "4:memory:/own\n3:cpu,cpuacct:/\n8:pids:/own\n0::/\n")
        assert limiter.words == {"memory", "pids"}
        cell = limiter.make("chute.main.1", LIMITS)
        assert cell.doors == tuple(
            tmp_path / controller / "own/paradrop-pd_acme_r1/chute.main.1/cgroup.procs" for controller in ("memory", "pids")
        )

    def test_version_2_is_used_where_it_was_handed_over(self, tmp_path: Path) -> None:
        own = tmp_path / "service"
        own.mkdir()
        (own / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
        limiter = find("d", tmp_path, "0::/service/paradropd\n")
        assert isinstance(limiter, GroupLimiter)
        assert limiter.words == {"memory", "cpu", "pids"}
        assert (own / "paradrop-d" / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
        assert limiter.make("chute.main.1", LIMITS).doors == (own / "paradrop-d" / "chute.main.1" / "cgroup.procs",)

    def test_a_kill_for_want_of_memory_is_seen(self, tmp_path: Path) -> None:
        (tmp_path / "memory").mkdir()
        (tmp_path / "memory" / "cgroup.procs").touch()
        cell = find("d", tmp_path, "4:memory:/\n").make("chute.main.1", LIMITS)
        (cell.doors[0].parent / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
        assert not cell.out_of_memory()
        (cell.doors[0].parent / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
        assert cell.out_of_memory()


class TestLines:
    def test_output_is_cut_into_lines_and_the_last_are_kept(self) -> None:
        told: list[str] = []
        lines = Lines(told.append)
        for i in range(30):
            lines.add("out", f"line {i}\nhal".encode())
            lines.add("out", b"f\r\n")
        lines.add("err", b"the end")
        lines.finish()
        assert told[:3] == ["line 0", "half", "line 1"]
        assert told[-1] == "the end"
        assert list(lines.last) == told[-LAST_LINES:]

    def test_a_line_without_end_does_not_grow(self) -> None:
        told: list[str] = []
        lines = Lines(told.append)
        for _ in range(100):
            lines.add("out", b"x" * 10000)
        lines.finish()
        assert [len(line) for line in told] == [2000]
