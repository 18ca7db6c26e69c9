"""Settings: the layers, what is refused and how, and the file that operators edit."""

from __future__ import annotations

import configparser
import dataclasses
import os
import resource
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop.base import settings
from paradrop.base._inifile import with_setting
from paradrop.base._resolve import from_ini
from paradrop.base._settings import RULES
from paradrop.base.exceptions import InvalidSettings, StorageFull
from paradrop.base.settings import Settings, resolve, store_setting

HOME = Path("/somewhere/device")


@pytest.fixture(autouse=True)
def _module_state() -> Iterator[None]:
    before = settings._loaded
    yield
    settings._loaded = before


def ini(*lines: str) -> str:
    return "\n".join(["[base]", *lines])


def test_defaults_of_local_mode() -> None:
    values = resolve("local", HOME, host="box")
    assert (values.portal_address, values.portal_server_port, values.device_name) == ("127.0.0.1", 8080, "box")
    assert (values.engine, values.log_cap, values.settle, values.lean_router) == ("auto", 64 << 20, 2.0, True)
    assert dict(values.base_images) == {"python3": "paradrop/python3:1"}


def test_all_state_is_below_the_home_that_was_given() -> None:
    for mode in ("local", "production", "unittest"):
        values = resolve(mode, HOME)
        folders = [value for name in RULES if isinstance(value := getattr(values, name), Path)]
        assert len(folders) == 8
        assert all(folder.is_relative_to(HOME) for folder in folders)


@pytest.mark.parametrize(
    ("mode", "home", "runtime"),
    [
        ("production", "/var/lib/paradrop", "/run/paradrop"),
        ("local", "/home/ann/.paradrop", "/home/ann/.paradrop/run"),
    ],
)
def test_each_mode_has_its_home(mode: str, home: str, runtime: str) -> None:
    values = resolve(mode, environ={"HOME": "/home/ann"})
    assert (str(values.home), str(values.runtime_dir), values.portal_address) == (home, runtime, "127.0.0.1")


def test_home_by_environment_gives_way_to_the_one_given() -> None:
    environ = {"PARADROP_HOME": "/by/environment"}
    assert resolve("production", environ=environ).home == Path("/by/environment")
    assert resolve("production", HOME, environ=environ).home == HOME


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="'staging' is none of production, local, unittest"):
        resolve("staging")


def test_each_layer_overrides_the_one_before() -> None:
    layers: dict[str, Any] = {
        "slist": ["PORTAL_SERVER_PORT:1"],
        "ini_text": ini("portal_server_port = 2"),
        "environ": {"PARADROP_PORTAL_SERVER_PORT": "3"},
    }
    seen = [resolve("local", HOME)]
    for count in range(1, 4):
        seen.append(resolve("local", HOME, **dict(list(layers.items())[:count])))
    assert [values.portal_server_port for values in seen] == [8080, 1, 2, 3]
    assert [values.sources.get("portal_server_port") for values in seen] == [None, "list", "settings.ini", "environment"]


def test_bare_names_in_the_environment_are_not_settings() -> None:
    environ = {"ENGINE": "docker", "DEVICE_NAME": "x", "HOME": "/root", "PORTAL_SERVER_PORT": "1"}
    assert resolve("local", HOME, environ=environ) == resolve("local", HOME)


def test_other_variables_with_the_prefix_are_passed_over() -> None:
    environ = {"PARADROP_FABRIC": "/x", "PARADROP_CHUTE_NAME": "hello", "PARADROP_ROUTER_ID": "1"}
    assert resolve("local", HOME, environ=environ) == resolve("local", HOME)


def test_a_value_from_a_list_may_contain_colons() -> None:
    assert resolve("local", HOME, ["docker_socket:tcp://a.example:2375"]).docker_socket == "tcp://a.example:2375"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lean_router", "False", False),
        ("lean_router", "on", True),
        ("log_cap", "1 GiB", 1 << 30),
        ("log_cap", "65536", 65536),
        ("settle", "0", 0.0),
        ("settle", "1.5", 1.5),
        ("log_dir", "/var/log/pd", Path("/var/log/pd")),
        ("base_images", "a=b:1, c = d/e", {"a": "b:1", "c": "d/e"}),
        ("device_name", "Kitchen 100%", "Kitchen 100%"),
        ("engine", "docker", "docker"),
    ],
)
def test_values_are_read_by_their_type(key: str, text: str, value: object) -> None:
    values = resolve("local", HOME, ini_text=ini(f"{key} = {text}"))
    assert getattr(values, key) == value
    assert type(getattr(values, key)) is type(value) or isinstance(value, dict | Path)


@pytest.mark.parametrize("key", [name for name, rule in RULES.items() if rule.operator])
def test_an_empty_value_is_the_default(key: str) -> None:
    assert resolve("local", HOME, ini_text=ini(f"{key} =")) == resolve("local", HOME)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["", "portal_server_prot = 1"], r"x\.ini:3: portal_server_prot: unknown setting; did you mean portal_server_port\?"),
        (["portal_server_port = many"], r"x\.ini:2: portal_server_port: 'many' is not a whole number"),
        (["portal_server_port = 8.5"], "'8.5' is not a whole number"),
        (["portal_server_port = 65536"], "65536 is above 65535"),
        (["portal_server_port = -1"], "-1 is below 0"),
        (["settle = nan"], "'nan' is not a number"),
        (["settle = 1e999"], "'1e999' is not a number"),
        (["lean_router = maybe"], "'maybe' is neither true nor false"),
        (["log_cap = 64 MB"], "'64 MB' is not a number of bytes"),
        (["max_message_size = 32 MiB"], "is above"),
        (["engine = podman"], "'podman' is none of auto, docker, process, memory"),
        (["base_images = python3"], "'python3' is not a pair name=value"),
        (["home = /x"], "cannot be set here"),
        (["mode = local"], "cannot be set here"),
        (["device_name = a", "  b"], "the value goes on in the next line"),
        (["engine = auto", "engine = auto"], "already exists"),
        (["engine"], "x.ini"),
        (["[bse]", "engine = auto"], r"x\.ini:2: there is no section \[bse\]"),
        (["[DEFAULT]", "engine = auto"], r"there is no section \[DEFAULT\]"),
        (["zzz = 1"], "x.ini:2: zzz: unknown setting$"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(lines: list[str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        resolve("local", HOME, ini_text=ini(*lines), ini_name="x.ini")


def test_a_file_without_a_section_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="no section headers"):
        resolve("local", HOME, ini_text="engine = auto")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"slist": ["ENGINE"]}, "list: 'ENGINE' is not KEY:VALUE"),
        ({"slist": ["ENGIN:docker"]}, r"list: ENGIN: unknown setting; did you mean engine\?"),
        ({"slist": ["ENGINE:podman"]}, "list: ENGINE: 'podman'"),
        ({"environ": {"PARADROP_ENGINE": "podman"}}, "environment: PARADROP_ENGINE: 'podman'"),
        ({"environ": {"PARADROP_PORTAL_SERVER_PROT": "1"}}, "did you mean PARADROP_PORTAL_SERVER_PORT"),
    ],
)
def test_what_is_wrong_elsewhere_is_named_too(layer: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        resolve("local", HOME, **layer)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve("local", HOME).engine = "docker"  # type: ignore[misc]


def test_describe_shows_every_setting_so_that_it_reads_back() -> None:
    values = resolve("local", HOME, ["ENGINE:docker", "LOG_CAP:1 MiB"], host="box")
    shown = {setting.key: setting for setting in values.describe()}
    assert list(shown) == list(RULES)
    assert all(setting.description for setting in shown.values())
    assert (shown["engine"].value, shown["engine"].default, shown["engine"].source) == ("docker", "auto", "list")
    assert (shown["settle"].value, shown["settle"].source) == (2.0, "default")
    assert all(isinstance(setting.value, str | int | float | bool) for setting in shown.values())
    pairs = [f"{key}:{setting.value}" for key, setting in shown.items() if RULES[key].operator]
    assert resolve("local", HOME, pairs, host="box") == values


@pytest.mark.parametrize("mode", ["local", "production", "unittest"])
def test_the_example_has_every_key_and_every_default(project: Path, mode: str) -> None:
    text = (project / "settings.ini").read_text(encoding="utf-8")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert parser.sections() == ["base"]
    assert sorted(parser["base"]) == sorted(name for name, rule in RULES.items() if rule.operator)
    assert resolve(mode, HOME, ini_text=text) == resolve(mode, HOME)
    empty = {key for key, value in parser["base"].items() if not value}
    assert all(value == "" or isinstance(value, Path) or key in ("device_name", "portal_address")
               for key in empty for value in [getattr(resolve(mode, HOME), key)])  # fmt: skip


def test_load_settings_reads_the_file_in_the_home(tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(ini("portal_server_port = 4444"))
    values = settings.loadSettings("local", ["SETTLE:5"], home=tmp_path, environ={"PARADROP_ENGINE": "memory"})
    assert (values.portal_server_port, values.settle, values.engine) == (4444, 5.0, "memory")
    assert settings.PORTAL_SERVER_PORT == 4444
    assert settings.current() is values


def test_load_settings_takes_the_process_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARADROP_PORTAL_SERVER_PORT", "4445")
    assert settings.loadSettings(home=tmp_path).portal_server_port == 4445


def test_settings_that_are_refused_change_nothing(tmp_path: Path) -> None:
    before = settings.loadSettings("local", home=tmp_path, environ={})
    with pytest.raises(InvalidSettings):
        settings.loadSettings("local", ["NO:1"], home=tmp_path, environ={})
    with pytest.raises(InvalidSettings, match="mode"):
        settings.loadSettings("nonsense", home=tmp_path, environ={})
    assert settings.current() is before


def test_load_from_file_puts_a_file_on_top(tmp_path: Path) -> None:
    settings.loadSettings("local", ["SETTLE:5"], home=tmp_path, environ={})
    path = tmp_path / "other.ini"
    path.write_text(ini("portal_server_port = 4444", "engine ="))
    values = settings.loadFromFile(path)
    assert (values.portal_server_port, values.settle, values.engine) == (4444, 5.0, "auto")
    assert values.sources["portal_server_port"] == "settings.ini"
    path.write_bytes(b"[base]\ndevice_name = \xff\n")
    with pytest.raises(InvalidSettings, match="not UTF-8"):
        settings.loadFromFile(path)


def test_update_paths_moves_everything(tmp_path: Path) -> None:
    settings.loadSettings("local", home=tmp_path, environ={})
    moved = settings.updatePaths("/new/home")
    assert (moved.home, moved.log_dir) == (Path("/new/home"), Path("/new/home/logs"))
    assert moved.runtime_dir == Path("/var/run/paradrop")
    assert moved.log_dir == settings.LOG_DIR
    assert settings.updatePaths("/new/home", tmp_path).runtime_dir == tmp_path


def test_iterate_gives_every_setting() -> None:
    pairs = dict(settings.iterate(settings))
    assert sorted(pairs) == sorted(name.upper() for name in RULES)
    assert pairs["PORTAL_SERVER_PORT"] == settings.current().portal_server_port


def test_iterate_takes_any_module() -> None:
    module = types.ModuleType("some")
    module.__dict__.update(SIZE=1, size=2, _HIDDEN=3)
    assert list(settings.iterate(module)) == [("SIZE", 1)]


def test_there_is_no_other_name_in_the_module() -> None:
    with pytest.raises(AttributeError, match="NO_SUCH"):
        _ = settings.NO_SUCH


@pytest.mark.parametrize(
    ("text", "value"),
    [("False", False), ("true", True), ("None", None), ("12", 12), ("-1.5", -1.5), ("abc", "abc"), ("", ""), ("1.2.3", "1.2.3")],
)
def test_parse_value(text: str, value: object) -> None:
    assert settings.parseValue(text) == value
    assert type(settings.parseValue(text)) is type(value)


TEXT = """# mine
[base]
# the port
Portal_Server_Port: 80
; settle = 9

engine = auto

# end
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("portal_server_port", 81, "Portal_Server_Port: 80\n", "Portal_Server_Port: 81\n"),
        ("SETTLE", 3.5, "; settle = 9\n", "; settle = 9\nsettle = 3.5\n"),
        ("device_name", "Küche", "# end\n", "# end\ndevice_name = Küche\n"),
        ("lean_router", False, "# end\n", "# end\nlean_router = false\n"),
        ("engine", "", "engine = auto\n", "engine =\n"),
    ],
)
def test_store_setting_changes_one_line(tmp_path: Path, key: str, value: object, old: str, new: str) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0o640)
    store_setting(path, key, value)
    assert path.read_text(encoding="utf-8") == TEXT.replace(old, new)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["", "# only a comment", "[base]"])
def test_store_setting_makes_the_section(tmp_path: Path, before: str) -> None:
    path = tmp_path / "settings.ini"
    if before:
        path.write_text(before)
    store_setting(path, "engine", "docker")
    assert path.read_text().startswith(before)
    assert resolve("local", HOME, ini_text=path.read_text()).engine == "docker"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (TEXT, "engine", "podman"),
        (TEXT, "no_such", "1"),
        (TEXT, "home", "/x"),
        (TEXT, "device_name", "a\n[other]"),
        (TEXT + "portal_server_prot = 1\n", "engine", "docker"),
        ("not ini", "engine", "docker"),
    ],
)
def test_store_setting_refuses_before_it_writes(tmp_path: Path, text: str, key: str, value: str) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(text)
    with pytest.raises(InvalidSettings):
        store_setting(path, key, value)
    assert path.read_text() == text


def test_store_setting_can_mend_the_value_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(ini("engine = podman"))
    store_setting(path, "engine", "docker")
    assert path.read_text() == ini("engine = docker\n")


def test_store_setting_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.ini").write_text(TEXT)
    (tmp_path / "settings.ini").symlink_to("real.ini")
    store_setting(tmp_path / "settings.ini", "engine", "docker")
    assert (tmp_path / "settings.ini").is_symlink()
    assert "engine = docker" in (tmp_path / "real.ini").read_text()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    path.write_text(TEXT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(StorageFull, match=os.fspath(path)):
            store_setting(path, "engine", "docker")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [path]


LINES = st.lists(
    st.sampled_from(["# engine = x", "", "; note", "engine = auto", "settle=1", "[base]", "log_cap : 1 MiB"]), max_size=8
)


@given(LINES, st.sampled_from(["engine", "settle", "log_cap", "device_name"]), st.sampled_from(["a", "", "1 # x"]))
def test_an_edited_text_reads_back_and_keeps_the_rest(lines: list[str], name: str, value: str) -> None:
    text = "\n".join(lines)
    try:
        before = {given.name: given.text for given in from_ini(text)}
    except InvalidSettings:
        return
    edited = with_setting(text, name, value)
    assert {given.name: given.text for given in from_ini(edited)} == {**before, name: value}
    assert all(edited.splitlines().count(line) >= 1 for line in lines if line.startswith(("#", ";")))


def test_the_public_type_is_one_class() -> None:
    assert isinstance(settings.current(), Settings)
