"""The figures as a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from side_by_side.cases import Aim, Case
from side_by_side.loads import Measured
from side_by_side.measuring import Plan, Start
from side_by_side.peers import BARE, OURS

#: How aims are reached, in the rows of starts.
START_AIMS = {
    "ready": (Aim("MLServer", 0.5, at_most=True),),
    "imported": (Aim("", 0.3, at_most=True),),
    "memory": (Aim("MLServer", 0.5, at_most=True),),
}
_REACHED = {True: "yes", False: "no", None: "not measured"}
_START_TITLES = {
    "ready": "start to ready with one small model, seconds",
    "imported": "import of the base class for models, seconds",
    "memory": "memory then, MB",
}


@attrs.frozen(kw_only=True)
class Results:
    """All that was measured.

    Attributes:
        command: that measured it.
        version: of the code, and when it was measured.
        plan: how thoroughly.
        versions: of the distributions, by the peers' names.
        cases: those that were measured.
        measured: by case and peer.
        starts: by peer.
    """

    command: str
    version: str
    plan: Plan
    versions: Mapping[str, str]
    cases: Sequence[Case]
    measured: Mapping[str, Mapping[str, Measured]]
    starts: Mapping[str, Start]


@attrs.frozen(kw_only=True)
class Row:
    """A line of the table: a figure for each peer."""

    title: str
    figures: Mapping[str, float]
    aims: Sequence[Aim]
    more_is_better: bool = True

    def misses(self) -> list[str]:
        """What we aim at and do not reach, in words."""
        return [
            f"{self.title}: {aim} was the aim, and we are at {self._reached(aim)}"
            for aim in self.aims
            if self.meets(aim) is False
        ]

    def meets(self, aim: Aim) -> bool | None:
        """Is an aim reached? None where who it compares with was not measured."""
        if aim.of and aim.of not in self.figures:
            return None
        bound = aim.factor * (self.figures[aim.of] if aim.of else 1)
        ours = self.figures[OURS.name]
        return ours <= bound if aim.at_most else ours >= bound

    def losses(self) -> list[str]:
        """Which other server is better, in words. A bare handler is none."""
        ours = self.figures[OURS.name]
        return [
            f"{self.title}: {name} has {show(figure)}, we have {show(ours)}"
            for name, figure in self.figures.items()
            if name != BARE.name and (figure > ours if self.more_is_better else figure < ours)
        ]

    def _reached(self, aim: Aim) -> str:
        ours = self.figures[OURS.name]
        return f"{_ratio(ours, self.figures[aim.of])} x" if aim.of else show(ours)


def make_page(results: Results) -> str:
    """The page, as Markdown."""
    rows = make_rows(results)
    missed = [line for row in rows for line in row.misses()]
    lost = [line for row in rows for line in row.losses()] + _slower(results)
    plan = results.plan
    others = [name for name in results.versions if name != OURS.name]
    sections = (
        "# Results",
        f"Written by `{results.command}`; not to be edited. [README.md](README.md) says how.",
        (
            f"{results.version}. Medians of {plan.rounds} round(s) of {plan.seconds:g} seconds, "
            "servers in turns. "
            f"{describe_host()}"
        ),
        "\n".join(f"- {name}: {version}" for name, version in results.versions.items()),
        (
            "Answers in a second; in brackets how many times the peer's figure ours is. All "
            "servers run in one process on one processor (`parallel_workers: 0`), but for the row "
            "of default workers. A cell is empty where a server cannot do it, or is not set up for "
            "it here. Aims were set before the work on speed began, from a first look at the peers."
        ),
        "\n".join(_table(rows, others)),
        "## Aims missed",
        "\n".join(f"- {line}" for line in missed) or "None.",
        "## Where another server is better",
        "\n".join(f"- {line}" for line in lost) or "Nowhere in these cases.",
        "## Latency",
        (
            "Milliseconds at that load, p50 / p99. Every server is given as much as it takes, so "
            "this is not what a caller waits where there is room."
        ),
        "\n".join(_latencies(results)),
    )
    return "\n\n".join(sections) + "\n"


def make_rows(results: Results) -> list[Row]:
    """The lines of the table."""
    rows = []
    for case in results.cases:
        rates = {name: each.rate for name, each in results.measured[case.name].items()}
        others = results.measured.get(case.instead, {})
        compared = {name: each.rate for name, each in others.items() if name != OURS.name}
        rows.append(Row(title=case.title, figures={**rates, **compared}, aims=case.aims))
    for field, aims in START_AIMS.items():
        unit = 1e6 if field == "memory" else 1
        figures = {name: getattr(start, field) / unit for name, start in results.starts.items()}
        if figures:
            rows.append(
                Row(title=_START_TITLES[field], figures=figures, aims=aims, more_is_better=False)
            )
    return rows


def _table(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    lines = [
        f"| {' | '.join(['case', OURS.name, *peers, 'aim', 'reached'])} |",
        "|---|---|" + "---|" * len(peers) + "---|---|",
    ]
    for row in rows:
        ours = row.figures[OURS.name]
        cells = [row.title, show(ours)]
        for peer in peers:
            figure = row.figures.get(peer)
            cells.append("" if figure is None else f"{show(figure)} ({_ratio(ours, figure)})")
        reached = [_REACHED[row.meets(aim)] for aim in row.aims]
        cells += ["; ".join(map(str, row.aims)), "; ".join(reached)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _slower(results: Results) -> list[str]:
    """Which other server has the better p99, in words."""
    lines = []
    for case in results.cases:
        measured = results.measured[case.name]
        ours = measured[OURS.name].p99
        lines += [
            f"{case.title}: p99 of {name} is {each.p99 * 1e3:.1f} ms, ours {ours * 1e3:.1f} ms"
            for name, each in measured.items()
            if name != BARE.name and each.p99 < ours
        ]
    return lines


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else "?"


def _latencies(results: Results) -> list[str]:
    peers = list(results.versions)
    lines = [f"| case | {' | '.join(peers)} |", "|---|" + "---|" * len(peers)]
    for case in results.cases:
        measured = results.measured[case.name]
        cells = [
            f"{measured[peer].p50 * 1e3:.2f} / {measured[peer].p99 * 1e3:.2f}"
            if peer in measured
            else ""
            for peer in peers
        ]
        lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return lines


def show(figure: float) -> str:
    """A figure with three digits or more."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def describe_host() -> str:
    """The machine in a sentence, without its name."""
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{os.cpu_count()} CPUs ({model}, {platform.machine()}), Linux, "
        f"Python {platform.python_version()}."
    )
