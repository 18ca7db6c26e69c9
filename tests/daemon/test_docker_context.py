"""What Docker builds from."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

from paradrop.manifest.model import ServiceKind
from paradropd.engine.docker.context import IN_MEMORY, dockerfile, pack
from paradropd.engine.port import BuildSpec, InstanceKey, SourceFile


def spec(folder: Path, files: Mapping[str, str], *executable: str) -> BuildSpec:
    def listing() -> list[SourceFile]:
        found = []
        for number, (path, text) in enumerate(files.items()):
            content = folder / str(number)
            content.write_text(text)
            found.append(SourceFile(path=path, content=content, size=len(text.encode()), executable=path in executable))
        return found

    key = InstanceKey("hello", "main", 1)
    return BuildSpec(key=key, kind=ServiceKind.NORMAL, image="", digest="0" * 64, files=lambda: iter(listing()))


def unpacked(wanted: BuildSpec, base: str = "") -> dict[str, tuple[str, int, str]]:
    """Type, mode and text of every entry."""
    with pack(wanted, base) as file, tarfile.open(fileobj=file) as tar:
        found = {}
        for entry in tar:
            content = tar.extractfile(entry)
            assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)
            found[entry.name] = ("file" if entry.isreg() else "folder", entry.mode, content.read().decode() if content else "")
        return found


def test_a_source_with_a_dockerfile_is_sent_as_it_is(tmp_path: Path) -> None:
    found = unpacked(spec(tmp_path, {"Dockerfile": "FROM x\n", "lib/deep/run.sh": "#!\n"}, "lib/deep/run.sh"))
    assert found == {
        "Dockerfile": ("file", 0o644, "FROM x\n"),
        "lib": ("folder", 0o755, ""),
        "lib/deep": ("folder", 0o755, ""),
        "lib/deep/run.sh": ("file", 0o755, "#!\n"),
    }


def test_a_light_source_lies_in_a_folder_of_its_own(tmp_path: Path) -> None:
    found = unpacked(spec(tmp_path, {"Dockerfile": "not mine", "main.py": "1\n"}), "base:1")
    assert found["source/Dockerfile"][2] == "not mine"
    assert found["source"][0] == "folder"
    assert found["Dockerfile"][2] == dockerfile("base:1", requirements=False)


def test_requirements_are_installed_only_when_there_are_some(tmp_path: Path) -> None:
    with_some = unpacked(spec(tmp_path, {"requirements.txt": "x\n"}), "base:1")["Dockerfile"][2]
    deeper = unpacked(spec(tmp_path, {"lib/requirements.txt": "x\n"}), "base:1")["Dockerfile"][2]
    assert "pip install" in with_some
    assert with_some.splitlines()[-1] == "USER 1000:1000"
    assert "pip" not in deeper


def test_a_large_context_is_not_kept_in_memory(tmp_path: Path) -> None:
    with pack(spec(tmp_path, {"big": "x" * (IN_MEMORY + 1)})) as file:
        assert isinstance(file.fileno(), int)
        assert file.read(1)


def test_an_empty_source(tmp_path: Path) -> None:
    assert set(unpacked(spec(tmp_path, {}), "base:1")) == {"source", "Dockerfile"}
