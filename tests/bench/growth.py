"""How the cost of a fleet grows with its size: memory, joining, calls; as a table, and as the plot of the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from bench.fleet import RATE, Joined, calls, joined
from bench.fleet_server import Served, bare, paradrop
from bench.place import ROOT, Place
from bench.report import Row, Section, Spread

SIZES = (100, 300, 1000, 3000, 10_000)
QUICK_SIZES = (30, 100)
PLOT = ROOT / "docs" / "fleet.png"
PLOT_QUICK = Path(gettempdir()) / "paradrop-fleet-quick.png"
"""A short run must not touch the documentation's."""
OURS, AGAINST = "#1f6f8b", "#b0b0b0"


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the plot's pictures."""

    title: str
    unit: str
    value: Callable[[Joined], float]


PANELS = (
    Panel("Router worker's memory (PSS)", "MB", lambda one: one.pss),
    Panel("All devices joined after", "s", lambda one: one.join),
    Panel(f"Call among devices, {RATE:.0f}/s: p50", "ms", lambda one: Spread.of(one.calls).p50),
    Panel(f"Call among devices, {RATE:.0f}/s: p99", "ms", lambda one: Spread.of(one.calls).p99),
)


async def measure(place: Place) -> Section:
    sizes, seconds = (QUICK_SIZES, 2.0) if place.quick else (SIZES, 8.0)
    ours: list[Joined] = []
    against: list[Joined] = []
    for devices in sizes:
        place.say(f"growth: {devices} devices")
        async with paradrop(place, devices) as served:
            ours.append(await _one(served, seconds))
        async with bare(place, devices) as served:
            against.append(await _one(served, seconds))
    path = PLOT_QUICK if place.quick else PLOT
    plot(ours, against, path)
    rows = [row for one, other in zip(ours, against, strict=True) for row in _rows(one, other)]
    each = [f"{one.devices}: {one.each:.1f} / {other.each:.1f}" for one, other in zip(ours, against, strict=True)]
    return Section(
        name="growth",
        title="from few devices to many on one server (TLS, cryptosign, gate), against bare Crossbar with none of that",
        rows=tuple(rows),
        notes=(f"Kilobytes of the router a device, ours / bare: {', '.join(each)}.", f"The plot is {path}."),
    )


async def _one(served: Served, seconds: float) -> Joined:
    async with joined(served) as (crew, found):
        await calls(crew, found, seconds)
        return found


def _rows(ours: Joined, against: Joined) -> list[Row]:
    def row(what: str, unit: str, values: Callable[[Joined], list[float]]) -> Row:
        what = f"{ours.devices} devices: {what}"
        return Row(what=what, unit=unit, ours=Spread.of(values(ours)), against=Spread.of(values(against)))

    return [
        row("router, PSS", "MB", lambda one: [one.pss]),
        row("all joined after", "s", lambda one: [one.join]),
        row(f"call, {RATE:.0f}/s", "ms", lambda one: one.calls),
    ]


def plot(ours: list[Joined], against: list[Joined], path: Path) -> None:
    """Draw all panels over the number of devices, which has a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for panel, axis in zip(PANELS, axes.flat, strict=True):
        _draw(axis, panel, against, AGAINST, "bare Crossbar: no TLS, no keys, no gate")
        _draw(axis, panel, ours, OURS, "pdserver: TLS, cryptosign, gate")
        axis.set_title(panel.title, fontsize=10)
        axis.set_ylabel(panel.unit)
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_xticks([one.devices for one in ours], [f"{one.devices:,}" for one in ours])
        axis.minorticks_off()
        axis.grid(visible=True, alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.supxlabel("devices on one router worker", fontsize=10)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(axis: Any, panel: Panel, found: list[Joined], colour: str, label: str) -> None:
    axis.plot([one.devices for one in found], [panel.value(one) for one in found], marker="o", color=colour, label=label)
