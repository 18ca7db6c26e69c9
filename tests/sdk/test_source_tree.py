"""Source trees as peers send them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paradrop.base.exceptions import InvalidSource
from paradrop.source import SourceLimits, check_tree, subtree, tree_digest
from paradrop.values import SourceTree, TreeEntry

LIMITS = SourceLimits()
DIGEST = "0" * 64


def entry(path: str, size: int = 1, sha256: str = DIGEST, executable: bool = False) -> TreeEntry:
    return TreeEntry(path=path, size=size, sha256=sha256, executable=executable)


def tree(*paths: str) -> SourceTree:
    return SourceTree(entries=tuple(entry(path) for path in paths))


def refusal(made: SourceTree, limits: SourceLimits = LIMITS) -> str:
    with pytest.raises(InvalidSource) as caught:
        check_tree(made, limits)
    return str(caught.value)


def test_an_ordinary_tree_is_accepted() -> None:
    check_tree(tree("paradrop.yaml", "app/main.py", "app/größe …/x", ".dockerignore", "a" * 255, "app2"), LIMITS)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "../a",
        "a/../b",
        "a/..",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\x85",
        "\udc80",
    ],
)
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    assert "has a" in refusal(tree("ok", path))


@pytest.mark.parametrize("path", ["a" * 256, "é" * 128, "a/" * 300 + "b", "/".join(["é" * 100] * 4), "x/" * 64 + "y"])
def test_a_path_over_the_limits_is_refused(path: str) -> None:
    refused = refusal(tree(path))
    assert "bytes" in refused or "deep" in refused
    assert len(refused) < 250


def test_a_path_at_the_limits_is_accepted() -> None:
    check_tree(tree("x/" * 63 + "y", "é" * 127, "/".join(["a" * 127] * 4)), LIMITS)


def test_no_path_twice_and_none_both_file_and_folder() -> None:
    assert refusal(tree("a", "b", "a")) == "a: is there twice"
    assert refusal(tree("a/b/c", "a/b")) == "a/b: is both a file and a folder"
    assert refusal(tree("a", "a/b/c")) == "a: is both a file and a folder"


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"])
def test_contents_are_named_by_sha_256(sha256: str) -> None:
    assert "sha-256" in refusal(SourceTree(entries=(entry("a", sha256=sha256),)))


def test_sizes_make_sense() -> None:
    assert "negative" in refusal(SourceTree(entries=(entry("a", size=-1),)))
    assert "size" in refusal(SourceTree(entries=(entry("a", size=1), entry("b", size=2))))


def test_limits_of_the_whole() -> None:
    assert refusal(tree("a", "b"), SourceLimits(files=1)) == "there are 2 files; at most 1"
    assert refusal(tree("a", "b"), SourceLimits(bytes=1)) == "the files have 2 bytes; at most 1"
    check_tree(tree("a", "b"), SourceLimits(files=2, bytes=2))


def test_a_subtree_has_paths_of_its_own() -> None:
    whole = tree("app/main.py", "app/lib/x.py", "application", "paradrop.yaml")
    assert [entry.path for entry in subtree(whole, "app").entries] == ["main.py", "lib/x.py"]
    assert [entry.path for entry in subtree(whole, "./app/lib/").entries] == ["x.py"]
    assert subtree(whole, ".") == whole
    assert subtree(whole, "nothing").entries == ()


def test_the_digest_knows_everything_but_the_order() -> None:
    one, other = entry("a"), entry("b")
    digest = tree_digest(SourceTree(entries=(one, other)))
    assert digest == tree_digest(SourceTree(entries=(other, one)))
    others = [
        SourceTree(),
        SourceTree(entries=(one,)),
        SourceTree(entries=(one, entry("c"))),
        SourceTree(entries=(one, entry("b", size=2))),
        SourceTree(entries=(one, entry("b", sha256="1" * 64))),
        SourceTree(entries=(one, entry("b", executable=True))),
    ]
    assert len({digest, *map(tree_digest, others)}) == 7


names = st.text(alphabet=st.sampled_from("ab./\\\0\n é"), max_size=8)


@settings(deadline=None)
@given(st.lists(names, max_size=4))
def test_what_is_accepted_can_be_laid_out_below_a_folder(paths: list[str]) -> None:
    made = tree(*paths)
    try:
        check_tree(made, LIMITS)
    except InvalidSource:
        return
    laid_out = [PurePosixPath("/root") / path for path in paths]
    assert all(".." not in path.parts and path.is_relative_to("/root/") and path != PurePosixPath("/root") for path in laid_out)
    assert all(str(path) == f"/root/{written}" for path, written in zip(laid_out, paths, strict=True))
    assert not any(one in other.parents for one in laid_out for other in laid_out)
    assert len(set(laid_out)) == len(paths)


components = st.text(alphabet=st.characters(exclude_characters="/\\", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(components.filter(lambda name: name not in (".", "..")), min_size=1, max_size=5))
def test_every_plain_path_is_accepted(parts: list[str]) -> None:
    check_tree(tree("/".join(parts)), LIMITS)


@settings(deadline=None)
@given(st.permutations([entry(name, sha256=f"{number:064x}") for number, name in enumerate("abcdef")]))
def test_the_digest_does_not_know_the_order(entries: list[TreeEntry]) -> None:
    ordered = sorted(entries, key=lambda entry: entry.path)
    assert tree_digest(SourceTree(entries=tuple(entries))) == tree_digest(SourceTree(entries=tuple(ordered)))
