"""The progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlserver_core.cli.inference.results import Results


@contextmanager
def show_progress(total: int | None) -> Iterator[Callable[[Results], None]]:
    """Shows a bar on standard error, if that is a terminal; gives what moves it on.

    Args:
        total: bytes of the input; None where nobody knows.
    """
    # rich is only needed, and only imported, where somebody looks.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        TextColumn("{task.fields[answered]} answered, {task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, answered=0, failed=0)

        def move(results: Results) -> None:
            progress.update(
                task,
                completed=results.size,
                answered=results.answered,
                failed=results.failed,
            )

        yield move
