"""What a benchmark found, as values, and how it is shown: one table for a person, one JSON document for a program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table

MANY = 100
"""From so many values on, the 99th percentile says more than the largest."""

WIDTH = 150
"""Characters of a line where the output is not a terminal."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of one kind, measured one after the other. Never empty."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """*values*, ordered. Raises ``ValueError`` when there are none."""
        ordered = tuple(sorted(values))
        if not ordered:
            raise ValueError("nothing was measured")
        return cls(ordered)

    def at(self, share: float) -> float:
        """The smallest value that is not below *share* of all values (nearest rank)."""
        return self.values[max(0, math.ceil(share * len(self.values)) - 1)]

    @property
    def p50(self) -> float:
        return self.at(0.5)

    @property
    def p99(self) -> float:
        return self.at(0.99)

    def shown(self) -> str:
        """``p50 / p99`` of many values, ``min / median / max`` of few."""
        if len(self.values) >= MANY:
            return f"{number(self.p50)} / {number(self.p99)}"
        return f"{number(self.values[0])} / {number(self.p50)} / {number(self.values[-1])}"

    def plain(self) -> dict[str, Any]:
        return {"n": len(self.values), "min": self.values[0], "p50": self.p50, "p99": self.p99, "max": self.values[-1]}


class Compare(StrEnum):
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be at most. It is shown beside the figure and decides nothing."""

    p50: float
    p99: float | None = None
    compared: bool = True
    """Whether it is about the comparison, or about our own value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of ours beside that of something else."""

    what: str
    unit: str
    ours: Spread
    against: Spread | None = None
    compare: Compare = Compare.RATIO
    target: Target | None = None

    def compared(self) -> tuple[float, float] | None:
        """Ratio or difference of the p50 and of the p99; ``None`` when there is nothing to compare with."""
        if self.against is None:
            return None
        pairs = ((self.ours.p50, self.against.p50), (self.ours.p99, self.against.p99))
        p50, p99 = (ours / other if self.compare is Compare.RATIO else ours - other for ours, other in pairs)
        return p50, p99

    def met(self) -> bool | None:
        """Whether the target is met; ``None`` without a target, or without what it is about."""
        if self.target is None:
            return None
        measured = self.compared() if self.target.compared else (self.ours.p50, self.ours.p99)
        if measured is None:
            return None
        return measured[0] <= self.target.p50 and (self.target.p99 is None or measured[1] <= self.target.p99)

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        compared = self.compared()
        return (
            f"{self.what}, {self.unit}",
            str(len(self.ours.values)),
            self.ours.shown(),
            self.against.shown() if self.against else "",
            " / ".join(map(self._difference, compared)) if compared else "",
            self._target(),
            {True: "met", False: "missed", None: ""}[self.met()],
        )

    def _difference(self, value: float) -> str:
        return f"{number(value)} ×" if self.compare is Compare.RATIO else f"{value:+.3g}"

    def _target(self) -> str:
        if self.target is None:
            return ""
        limits = " / ".join(number(limit) for limit in (self.target.p50, self.target.p99) if limit is not None)
        if not self.target.compared:
            return f"≤ {limits} {self.unit}"
        return f"≤ {limits} ×" if self.compare is Compare.RATIO else f"≤ +{limits} {self.unit}"

    def plain(self) -> dict[str, Any]:
        compared = self.compared()
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours.plain(),
            "against": self.against.plain() if self.against else None,
            "compare": self.compare,
            "compared": {"p50": compared[0], "p99": compared[1]} if compared else None,
            "target": {"p50": self.target.p50, "p99": self.target.p99} if self.target else None,
            "met": self.met(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The outcome of one benchmark."""

    name: str
    title: str
    """What is measured, against what."""
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "title": self.title, "rows": [row.plain() for row in self.rows], "notes": list(self.notes)}


def number(value: float) -> str:
    """*value* with three digits, and never in powers of ten."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def show(section: Section, file: IO[str]) -> None:
    """Write *section* as a table, with its notes below."""
    console = Console(file=file, width=None if file.isatty() else WIDTH, highlight=False, markup=False)
    console.print(f"\n{section.name}: {section.title}")
    if section.rows:
        table = Table(box=box.SIMPLE, pad_edge=False)
        for heading in ("", "n", "ours", "against", "compared (p50 / p99)", "target", ""):
            table.add_column(heading, justify="left" if heading in ("", "target") else "right")
        for row in section.rows:
            table.add_row(*row.cells())
        console.print(table)
    for note in section.notes:
        console.print(f"  {note}")


def document(machine: str, sections: Sequence[Section]) -> str:
    """All of it as JSON."""
    return json.dumps({"machine": machine, "sections": [section.plain() for section in sections]}, indent=2, ensure_ascii=False)
