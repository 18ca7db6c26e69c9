"""The migrations make the schema that the code speaks of, wherever Paradrop is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from setuptools import find_packages
from sqlalchemy import Connection, inspect, text
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import InvalidSettings
from paradrop.base.seams import inline
from pdserver.registry import Database
from pdserver.registry.schema import metadata

case = SynchronousTestCase()


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


@pytest.fixture(params=["memory", "file", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    match request.param:
        case "memory":
            url = "sqlite://"
        case "file":
            url = f"sqlite:///{tmp_path}/server.db"
        case _:
            url = request.getfixturevalue("postgresql").create()
    database = Database(url, inline)
    yield database
    result(database.close())


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def names(connection: Connection) -> set[str]:
    """Of everything that a later migration may have to speak of."""
    found, tables = set(), inspect(connection)
    for table in metadata.tables:
        found |= {str(constraint["name"]) for constraint in tables.get_check_constraints(table)}
        found |= {str(constraint["name"]) for constraint in tables.get_foreign_keys(table)}
        found.add(str(tables.get_pk_constraint(table)["name"]))
    return found


def test_an_empty_database_becomes_what_the_schema_says(database: Database) -> None:
    assert result(database.read(differences))  # or the comparison would find nothing ever
    result(database.upgrade())
    assert result(database.read(differences)) == []
    expected = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in (*table.constraints, table.primary_key)
        if not str(constraint.name).startswith("uq_")  # compared above
    }
    assert result(database.read(names)) == expected


def test_a_database_that_is_up_to_date_stays_as_it_is(database: Database) -> None:
    result(database.upgrade())
    result(database.write(lambda connection: connection.execute(text("INSERT INTO device_groups VALUES ('lab')")).rowcount))
    result(database.upgrade())
    assert result(database.read(lambda connection: connection.scalar(text("SELECT name FROM device_groups")))) == "lab"


def test_a_newer_versions_database_is_left_alone(database: Database) -> None:
    result(database.upgrade())
    result(
        database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")).rowcount)
    )
    problem = case.failureResultOf(Deferred.fromCoroutine(database.upgrade()), InvalidSettings)
    assert "newer" in str(problem.value)


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    result(database.write(lambda connection: connection.execute(text("CREATE TABLE wanted (x INTEGER)")).rowcount))
    with pytest.raises(AssertionError):
        result(database.upgrade())
    assert result(database.read(lambda connection: inspect(connection).get_table_names())) == ["wanted"]


def test_the_migrations_are_part_of_a_wheel(project: Path) -> None:
    packages = find_packages(str(project / "daemon"), include=["pdserver", "pdserver.*"])
    assert {"pdserver.registry.migrations", "pdserver.registry.migrations.versions"} <= set(packages)
