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

#: Requests a second that a model of 5 ms can answer, one at a time.
CAPACITY = 200
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
            axes.xaxis.set_major_formatter(FuncFormatter(spoken))
            axes.yaxis.set_major_formatter(FuncFormatter(spoken))
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
            axes.set_xticks(sorted({row["connections"] for row in rows}))
            axes.xaxis.set_major_formatter(FuncFormatter(spoken))
        rate.set(title="Throughput", ylabel="requests per second", ylim=(0, None))
        time.set(title="Time until the answer", ylabel="ms", yscale="log")
        time.yaxis.set_major_formatter(FuncFormatter(spoken))
        rate.legend()
        time.legend()
    return figure


def draw_models(rows: list[Row]) -> Figure:
    """Cost, time to be ready and memory against how many models are loaded."""
    counts = [row["models"] for row in rows]
    with panels(3) as (figure, (cost, start, memory)):
        for key, label in (("all", "asked in turn"), ("one", "one asked alone")):
            cost.plot(counts, [row[key]["cpu"] * 1e6 for row in rows], "o-", label=label)
        for key, label in (("seconds to ready", "by the clock"), ("cpu to ready", "of processor")):
            start.plot(counts, [row[key] for row in rows], "o-", label=label)
        memory.plot(counts, [row["bytes"] / 2**20 for row in rows], "o-")
        for axes in (cost, start, memory):
            axes.margins(y=0.1)
            axes.set(xlabel="loaded models", ylim=(0, None))
            axes.xaxis.set_major_formatter(FuncFormatter(spoken))
        cost.set(title="What a request costs", ylabel="processor time of the server (us)")
        start.set(title="From start to ready", ylabel="seconds")
        memory.set(title="Memory", ylabel="MiB")
        cost.legend()
        start.legend()
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
    """What becomes of requests, and when, against arrivals; a line for each model."""
    with panels(3) as (figure, (goodput, answered, refused)):
        for name, part in grouped(rows, "model"):
            rates = [row["arrived"] for row in part]
            goodput.plot(rates, [row["goodput"] for row in part], "o-", label=name)
            plot_known(answered, part, "p99")
            plot_known(refused, part, "refused p99")
        most = max(row["arrived"] for row in rows)
        goodput.plot([0, CAPACITY, most], [0, CAPACITY, CAPACITY], ":", color="#888888")
        for axes in (goodput, answered, refused):
            axes.set(xlabel="arrivals per second", xlim=(0, most * 1.05), ylim=(0, None))
        goodput.set(title="Answered in time", ylabel="answers per second")
        answered.set(title="Time until an answer, p99", ylabel="ms")
        refused.set(title="Time until a refusal, p99", ylabel="ms")
        figure.legend(loc="outside lower center", ncols=len(COLOURS))
    return figure


def plot_known(axes: Any, rows: Iterable[Row], key: str) -> None:
    """Plots a time, in ms, against arrivals, where there is one."""
    known = [row for row in rows if row[key] is not None]
    axes.plot([row["arrived"] for row in known], [row[key] * 1e3 for row in known], "o-")


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


def spoken(value: float, _: int) -> str:
    """A number beside an axis, also on a logarithmic one: 0.1, 100, 10k, 1M."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:,g}"
