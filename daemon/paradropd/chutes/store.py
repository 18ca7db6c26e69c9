"""Where the device remembers its chutes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from twisted.logger import Logger

from paradrop.base.exceptions import ChuteNotFound, StorageFull
from paradrop.manifest.model import Manifest
from paradrop.values import SourceTree, Want, plain, read
from paradropd.chutes.model import Chute, Release
from paradropd.storage import Database

log = Logger(namespace="paradropd.chutes")


class ChuteStore:
    """Chutes and their releases, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[tuple[str, int]] = set()
        self._unwritten: dict[str, Chute] = {}
        """Stopped chutes, by name, of which the disk had no room to write that down."""

    def get(self, name: str) -> Chute:
        """Raises :class:`ChuteNotFound`."""
        chute = self.find(name)
        if chute is None:
            raise ChuteNotFound(f"there is no chute {name!r}")
        return chute

    def find(self, name: str) -> Chute | None:
        rows = self._database.rows("SELECT want, current FROM chutes WHERE name = ?", name)
        if not rows:
            return None
        if name in self._unwritten:
            return self._unwritten[name]
        want, current = rows[0]
        return Chute(want=Want(str(want)), release=self.release(name, int(str(current))))

    def all(self) -> list[Chute]:
        """Every chute, ordered by name."""
        return [self.get(str(name)) for (name,) in self._database.rows("SELECT name FROM chutes ORDER BY name")]

    def release(self, chute: str, number: int) -> Release:
        """Raises :class:`ChuteNotFound`."""
        rows = self._database.rows("SELECT manifest, images FROM releases WHERE chute = ? AND number = ?", chute, number)
        if not rows:
            raise ChuteNotFound(f"there is no release {number} of chute {chute!r}")
        manifest, images = (json.loads(str(column)) for column in rows[0])
        return Release(number=number, manifest=read(Manifest, manifest), images=images)

    def tree(self, release: Release) -> SourceTree:
        """The source of *release*. Raises :class:`ChuteNotFound`."""
        query = "SELECT tree FROM releases WHERE chute = ? AND number = ?"
        rows = self._database.rows(query, release.chute, release.number)
        if not rows:
            raise ChuteNotFound(f"there is no release {release.number} of chute {release.chute!r}")
        return read(SourceTree, json.loads(str(rows[0][0])))

    def add_release(self, manifest: Manifest, tree: SourceTree) -> Release:
        """Remember a new release; it is not wanted yet. Its number follows the last one that was given, also when that release
        was never wanted or the chute was removed since: a number never means two releases."""
        with self._database.transaction() as connection:
            query = "INSERT INTO deploys VALUES (?, 1) ON CONFLICT (chute) DO UPDATE SET last = last + 1 RETURNING last"
            number = connection.execute(query, (manifest.name,)).fetchone()[0]
            connection.execute(
                "INSERT INTO releases VALUES (?, ?, ?, ?, '{}')",
                (manifest.name, number, json.dumps(plain(manifest)), json.dumps(plain(tree))),
            )
        return Release(number=number, manifest=manifest)

    def add_image(self, release: Release, service: str, image: str) -> Release:
        """Remember that *service* of *release* is built."""
        images: Mapping[str, str] = {**self.release(release.chute, release.number).images, service: image}
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE releases SET images = ? WHERE chute = ? AND number = ?",
                (json.dumps(images), release.chute, release.number),
            )
        return replace(release, images=images)

    def want(self, chute: Chute) -> None:
        """From now on this is what is wanted."""
        with self._database.transaction() as connection:
            self._write_wants(connection, {**self._unwritten, chute.name: chute})
        self._unwritten.clear()

    def stop(self, chute: Chute) -> None:
        """From now on *chute* is wanted as it is, stopped, whether the disk has room for that or not.

        While it has none, not even in the ballast, it is remembered here and written with the next chute; if the daemon ends
        before, the next one starts the chute.
        """
        self._unwritten[chute.name] = chute
        try:
            self._database.insist(lambda connection: self._write_wants(connection, self._unwritten))
        except StorageFull as problem:
            log.warn("{name}: that it is stopped could not be written down: {problem}", name=chute.name, problem=problem)
        else:
            self._unwritten.clear()

    def _write_wants(self, connection: sqlite3.Connection, chutes: Mapping[str, Chute]) -> None:
        connection.executemany(
            "INSERT INTO chutes VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET want = excluded.want, current = excluded.current",
            [(chute.name, chute.want.value, chute.release.number) for chute in chutes.values()],
        )

    def hold(self, release: Release) -> None:
        """Spare *release* whatever is dropped or forgotten, until :meth:`let_go`: its deploy waits for its turn."""
        self._held.add((release.chute, release.number))

    def let_go(self, release: Release) -> None:
        self._held.discard((release.chute, release.number))

    def forget(self, name: str) -> list[Release]:
        """Remove the chute and its releases, but those that are held. Returns the releases that are removed.

        Raises :class:`StorageFull` when the disk is full and the ballast is used up.
        """
        removed = self._remove(name, set(), "DELETE FROM chutes WHERE name = ?")
        self._unwritten.pop(name, None)
        return removed

    def numbers(self, chute: str) -> list[int]:
        """The chute's releases that are remembered, oldest first."""
        rows = self._database.rows("SELECT number FROM releases WHERE chute = ? ORDER BY number", chute)
        return [int(str(number)) for (number,) in rows]

    def drop_releases(self, chute: str, keep: set[int]) -> list[Release]:
        """Forget the chute's releases but those, and those that are held. Returns the forgotten."""
        return self._remove(chute, keep, "")

    def unfinished(self) -> list[str]:
        """The chutes of which there are releases newer than the current one, or no current one: deploys that wait, that are
        under way or that were cut short."""
        query = (
            "SELECT DISTINCT chute FROM releases LEFT JOIN chutes ON name = chute"
            " WHERE name IS NULL OR number > current ORDER BY chute"
        )
        return [str(name) for (name,) in self._database.rows(query)]

    def digests(self) -> set[str]:
        """The content of every release that is remembered."""
        trees = (read(SourceTree, json.loads(str(tree))) for (tree,) in self._database.rows("SELECT tree FROM releases"))
        return {entry.sha256 for tree in trees for entry in tree.entries}

    def images(self) -> set[str]:
        """The images of every release that is remembered."""
        columns = self._database.rows("SELECT images FROM releases")
        return {image for (images,) in columns for image in json.loads(str(images)).values()}

    def _remove(self, chute: str, keep: set[int], first: str) -> list[Release]:
        """Remove releases, and do *first*, in one transaction: a chute must not be left without its current release."""
        numbers = [number for number in self.numbers(chute) if number not in keep and (chute, number) not in self._held]
        removed = [self.release(chute, number) for number in numbers]

        def write(connection: sqlite3.Connection) -> None:
            if first:
                connection.execute(first, (chute,))
            connection.executemany("DELETE FROM releases WHERE chute = ? AND number = ?", [(chute, number) for number in numbers])

        if first:
            self._database.insist(write)
        else:
            with self._database.transaction() as connection:
                write(connection)
        return removed
