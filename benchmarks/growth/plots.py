"""Draws how cost grows, for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

Row = dict[str, Any]

COLOURS = ("#1f6fb4", "#d9661f", "#3a8f3a")
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "lines.markersize": 4,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text, which is small and can be searched
    "svg.hashsalt": "growth",  # the same file for the same figures
}


def draw(results: dict[str, Any], folder: Path) -> None:
    """Writes an SVG for each part that has been measured."""
    folder.mkdir(parents=True, exist_ok=True)
    drawing = {
        "sizes": draw_sizes,
        "connections": draw_connections,
        "models": draw_models,
        "workers": draw_workers,
        "overload": draw_overload,
    }
    for name, measured in results.items():
        with mpl.rc_context(STYLE):
            figure = drawing[name](measured["rows"])
            figure.savefig(folder / f"growth-{name}.svg", metadata={"Date": None})


def draw_sizes(rows: list[Row]) -> Figure:
    """Cost and requests a second against elements, a line for each format."""
    with panels(2) as (figure, (cost, rate)):
        for name, part in grouped(rows, "format"):
            sizes = [row["elements"] for row in part]
            cost.plot(sizes, [row["cpu"] * 1e3 for row in part], "o-", label=name)
            rate.plot(sizes, [row["per_second"] for row in part], "o-", label=name)
        for axes in (cost, rate):
            axes.set(xscale="log", yscale="log", xlabel="FP32 elements there and back")
        cost.set(title="What a request costs", ylabel="processor time of the server (ms)")
        rate.set(title="What one core answers", ylabel="requests per second")
        cost.legend()
    return figure


def draw_connections(rows: list[Row]) -> Figure:
    """Requests a second and times against connections, a colour for each kind of model."""
    with panels(2) as (figure, (rate, time)):
        for colour, (name, part) in zip(COLOURS, grouped(rows, "model"), strict=False):
            connections = [row["connections"] for row in part]
            rate.plot(connections, [row["per_second"] for row in part], "o-", label=name)
            for key, style in (("p99", "o--"), ("p50", "o-")):
                values = [row[key] * 1e3 for row in part]
                time.plot(connections, values, style, color=colour, label=f"{key}, {name}")
        for axes in (rate, time):
            axes.set(xscale="log", xlabel="connections")
            axes.set_xticks([row["connections"] for row in rows])
            axes.xaxis.set_major_formatter(FuncFormatter("{:.0f}".format))
        rate.set(title="Throughput", ylabel="requests per second", ylim=(0, None))
        time.set(title="Time until the answer", ylabel="ms", yscale="log")
        rate.legend()
        time.legend()
    return figure


def draw_models(rows: list[Row]) -> Figure:
    """Cost, time to be ready and memory against how many models are loaded."""
    counts = [row["models"] for row in rows]
    with panels(3) as (figure, (cost, start, memory)):
        for key, label in (("all", "asked in turn"), ("one", "one asked alone")):
            cost.plot(counts, [row[key]["cpu"] * 1e6 for row in rows], "o-", label=label)
        start.plot(counts, [row["seconds to ready"] for row in rows], "o-")
        memory.plot(counts, [row["bytes"] / 2**20 for row in rows], "o-")
        for axes in (cost, start, memory):
            axes.set(xscale="log", xlabel="loaded models", ylim=(0, None))
            axes.xaxis.set_major_formatter(FuncFormatter("{:.0f}".format))
        cost.set(title="What a request costs", ylabel="processor time of the server (us)")
        start.set(title="From start to ready", ylabel="seconds")
        memory.set(title="Memory", ylabel="MiB")
        cost.legend()
    return figure


def draw_workers(rows: list[Row]) -> Figure:
    """Requests a second against workers, a panel for each model."""
    parts = list(grouped(rows, "model"))
    with panels(len(parts)) as (figure, axes):
        for each, (name, part) in zip(axes, parts, strict=True):
            workers = [str(row["workers"]) for row in part]
            bars = each.bar(workers, [row["per_second"] for row in part], width=0.6)
            each.bar_label(bars, fmt="{:,.0f}")
            each.grid(visible=False)
            each.set(title=f"Model: {name}", xlabel="worker processes")
            each.set_ylabel("requests per second")
    return figure


def draw_overload(rows: list[Row]) -> Figure:
    """What becomes of requests, and when, against arrivals as a part of the capacity."""
    with panels(3) as (figure, (goodput, answered, refused)):
        for name, part in grouped(rows, "model"):
            load = [row["part"] for row in part]
            good = [row["goodput"] / row["capacity"] for row in part]
            goodput.plot(load, good, "o-", label=name)
            answered.plot(load, [row["p99"] * 1e3 for row in part], "o-", label=name)
            turned = [row for row in part if row["refused p99"] is not None]
            times = [row["refused p99"] * 1e3 for row in turned]
            refused.plot([row["part"] for row in turned], times, "o-", label=name)
        for axes in (goodput, answered, refused):
            axes.set(xlabel="arrivals / capacity", ylim=(0, None))
            axes.set_xlim(0.4, max(row["part"] for row in rows) + 0.1)
        goodput.plot([0.5, 1, 2], [0.5, 1, 1], ":", color="#888888", label="ideal")
        goodput.set(title="Answers in time", ylabel="answers in time / capacity")
        answered.set(title="Time until an answer, p99", ylabel="ms")
        refused.set(title="Time until a refusal, p99", ylabel="ms")
        goodput.legend(loc="lower right")
    return figure


@contextmanager
def panels(count: int) -> Iterator[tuple[Figure, Any]]:
    """A figure with so many panels side by side."""
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    yield figure, figure.subplots(1, count)
    for axes in figure.axes:
        axes.minorticks_off()  # most of the file would be these


def grouped(rows: Iterable[Row], key: str) -> Iterator[tuple[str, list[Row]]]:
    """Rows with the same value, in the order in which the values come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    yield from groups.items()
