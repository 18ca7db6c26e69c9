"""The tree of errors: drawn as it is, each with one word, a sentence, an exit code and a status."""

from __future__ import annotations

import pickle
import re

import pytest

from paradrop.base import exceptions
from paradrop.base.exceptions import (
    InvalidManifest,
    ParadropException,
    ServiceNotFound,
    TooManyAttempts,
    tree,
)

EVERY = [pytest.param(kind, id=kind.__name__) for kind in tree()]


def drawn() -> list[tuple[int, str]]:
    """The picture at the head of the module: depth and name of each class."""
    picture = (exceptions.__doc__ or "").split("::\n", 1)[1].split("\n\nThe class docstring")[0]
    lines = [re.match(r"^ {4}([│ ├└─]*)(\w+)", line) for line in picture.splitlines() if line.strip()]
    return [(len(line[1]) // 4, line[2]) for line in lines if line]


def real(kind: type[ParadropException] = ParadropException, depth: int = 0) -> list[tuple[int, str]]:
    return [(depth, kind.__name__), *(entry for child in kind.__subclasses__() for entry in real(child, depth + 1))]


def test_the_picture_at_the_head_of_the_module_is_the_tree() -> None:
    assert drawn() == real()


def test_parents_come_first() -> None:
    kinds = list(tree())
    assert kinds[0] is ParadropException
    assert all(kinds.index(kind.__mro__[1]) < kinds.index(kind) for kind in kinds[1:])
    assert len(set(kinds)) == len(kinds)


def test_every_class_has_a_word_of_its_own() -> None:
    slugs = [kind.slug for kind in tree()]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize("kind", EVERY)
def test_a_class_says_all_its_reader_needs(kind: type[ParadropException]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.slug)
    assert kind.uri() == f"org.paradrop.error.{kind.slug}"
    assert kind.sentence().endswith(".")
    assert str(kind()) == kind.sentence()
    assert str(kind("quite another reason")) == "quite another reason"
    assert 1 <= kind.exit_code <= 78
    assert 400 <= kind.http_status <= 599


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_can_be_made_again_from_its_arguments(kind: type[ParadropException]) -> None:
    """As the fabric does it on the other side, and pickle between processes."""
    error = kind("the very reason")
    again = kind(*error.args)
    assert (str(again), again.args) == (str(error), error.args)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("kind", EVERY)
def test_what_may_be_tried_again_is_not_the_callers_fault(kind: type[ParadropException]) -> None:
    assert not kind.retry or kind.http_status in (429, 503, 504, 507)


def test_a_manifests_problems_are_lines() -> None:
    error = InvalidManifest(["name: is missing", "services: is empty"])
    assert error.problems == ("name: is missing", "services: is empty")
    assert str(error) == "name: is missing\nservices: is empty"
    assert InvalidManifest(*error.args).problems == error.problems


def test_a_service_is_named() -> None:
    error = ServiceNotFound("main")
    assert (error.name, str(error)) == ("main", "there is no service 'main'")
    assert str(ServiceNotFound(*error.args)) == str(error)


def test_how_long_to_wait_is_told() -> None:
    error = TooManyAttempts("wait", 2.5)
    assert (str(error), error.wait) == ("wait", 2.5)
    assert TooManyAttempts(*error.args).wait == 2.5
