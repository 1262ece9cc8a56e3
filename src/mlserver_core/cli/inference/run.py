"""A run from opened files to the summary: what the command does once its options are read."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import RawIOBase
from pathlib import Path

import attrs

from mlserver_core.cli.inference.batch import Batch, count_places
from mlserver_core.cli.inference.client import Client
from mlserver_core.cli.inference.lines import read_lines
from mlserver_core.cli.inference.options import Options
from mlserver_core.cli.inference.progress import show_progress
from mlserver_core.cli.inference.results import Results
from mlserver_core.errors import InvalidRequest

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@attrs.frozen(kw_only=True)
class Run:
    """One run of the command.

    Attributes:
        options: what to send where.
        source: path of the input; ``-`` for standard input.
        target: path of the output; ``-`` for standard output.
        verbosity: 0 shows a progress bar on a terminal, 1 and 2 log instead.
    """

    options: Options
    source: str
    target: str
    verbosity: int

    def go(self) -> int:
        """Runs to the end; returns the exit code.

        Raises:
            InvalidRequest: an option or a file cannot be used.
        """
        logging.basicConfig(
            stream=sys.stderr, level=_LEVELS[self.verbosity], format="%(levelname)s %(message)s"
        )
        return asyncio.run(self._go())

    async def _go(self) -> int:
        client = _open_client(self.options)
        try:
            with ExitStack() as stack:
                source = stack.enter_context(_open_source(self.source))
                target = stack.enter_context(_open_target(self.target, source))
                tell = stack.enter_context(self._progress(source))
                results = Results(
                    file=target,
                    is_ordered=not self.options.unordered,
                    places=asyncio.Semaphore(count_places(self.options)),
                    tell=tell,
                )
                began = time.monotonic()
                end = await self._finish(client, source.fileno(), results)
        finally:
            await client.close()
        _summarize(results, time.monotonic() - began, end)
        return 1 if end or results.failed else 0

    async def _finish(self, client: Client, descriptor: int, results: Results) -> str:
        """Runs until all is done; returns what ended it before, if something did."""
        batch = Batch(self.options, client, results)
        task = asyncio.ensure_future(batch.run(read_lines(descriptor)))
        stopped: list[str] = []
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            stopped.append(f"stopped by {number.name}")
            for each in _SIGNALS:  # a second one ends the process at once
                loop.remove_signal_handler(each)
            task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, stop, number)
        try:
            await asyncio.wait({task})
            results.write_held()  # whatever ended it, what was answered is kept
            if not task.cancelled():
                task.result()
        except OSError as error:
            return f"stopped: {error}"
        return "".join(stopped)

    @contextmanager
    def _progress(self, source: RawIOBase) -> Iterator[Callable[[Results], None]]:
        if self.verbosity or not sys.stderr.isatty():
            yield lambda _: None
            return
        facts = os.fstat(source.fileno())
        with show_progress(facts.st_size if stat.S_ISREG(facts.st_mode) else None) as move:
            yield move


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _open_client(options: Options) -> Client:
    # The two bring libraries of their own, of which a run needs one.
    if options.transport == "grpc":
        from mlserver_core.cli.inference.grpc_client import open_grpc_client

        return open_grpc_client(options)
    from mlserver_core.cli.inference.rest_client import open_rest_client

    return open_rest_client(options)


def _open_source(path: str) -> RawIOBase:
    try:
        if path == "-":
            return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
        return Path(path).open("rb", buffering=0)
    except OSError as error:
        raise InvalidRequest(f"the input {path!r} cannot be read: {error.strerror}") from None


def _open_target(path: str, source: RawIOBase) -> RawIOBase:
    """Opens the output, which is emptied, but not if it is the input."""
    try:
        if path == "-":
            return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
        read = os.fstat(source.fileno())
        is_file = stat.S_ISREG(read.st_mode) and Path(path).exists()
        if is_file and os.path.samestat(read, Path(path).stat()):
            raise InvalidRequest(f"the output {path!r} is the input; name another file")
        return Path(path).open("wb", buffering=0)
    except OSError as error:
        raise InvalidRequest(f"the output {path!r} cannot be written: {error.strerror}") from None


def _summarize(results: Results, seconds: float, end: str) -> None:
    lines = results.answered + results.failed
    rate = lines / seconds if seconds else 0.0
    text = (
        f"answered {results.answered}, failed {results.failed}, {seconds:.1f} seconds, "
        f"{rate:.1f} lines per second"
    )
    print(f"{text}; {end}" if end else text, file=sys.stderr)  # noqa: T201
