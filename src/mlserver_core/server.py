"""One server: settings, plugins, registries, engine and transports, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.parts import Parts, collect_parts, load_plugins
from mlserver_core.engine.watchdog import LoopWatchdog
from mlserver_core.errors import StartupError, Unavailable, named
from mlserver_core.executors.interfaces import ExecutorFactory
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.hooks.registry import OrderedRegistry, Registry
from mlserver_core.metrics.registry import make_metrics
from mlserver_core.middlewares.interfaces import MiddlewareFactory
from mlserver_core.repositories.given import GivenModels
from mlserver_core.repositories.interfaces import Listing, Repository, RepositoryFactory
from mlserver_core.repositories.opening import list_at_start, open_repository
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.signals import StopSignals

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MLServer", "Transport", "TransportFactory", "load_plugins"]

logger = logging.getLogger("mlserver")

#: Seconds that the unload of a model may take, however short shutdown_grace_period is.
SHORTEST_UNLOAD = 1.0


class Transport(Protocol):
    """A way for requests to come in."""

    @property
    def listening(self) -> str:
        """The start-up line, with the address it really listens on."""

    async def start(self) -> None:
        """Begins to listen; raises StartupError."""

    async def stop_listening(self) -> None:
        """Takes no more connections; requests in flight go on."""

    async def close(self, seconds: float) -> None:
        """Closes every connection, once its answers are written, and after ``seconds`` anyway."""


#: Makes a transport of a server; None where its settings switch it off.
TransportFactory = Callable[[Settings, InferenceEngine], Transport | None]


@attrs.define(eq=False)
class MLServer:
    """A server. Any number may live in one process; nothing is shared between them.

    Attributes:
        settings: its settings.
        plugins: its plugins; by default the built-in and the installed ones.
        strict: an unknown key in a model's settings is an error.
        engine: answers requests.
        transports: by name, such as ``rest`` and ``grpc``.
    """

    settings: Settings = attrs.field(factory=Settings)
    plugins: PluginManager = attrs.field(factory=lambda: load_plugins(os.environ), kw_only=True)
    strict: bool = attrs.field(default=False, kw_only=True)
    runtimes: Registry[str] = attrs.field(factory=lambda: Registry("runtime"), init=False)
    codecs: Codecs = attrs.field(factory=Codecs, init=False)
    engine: InferenceEngine = attrs.field(init=False)
    transports: dict[str, Transport] = attrs.field(init=False)
    _repositories: Registry[RepositoryFactory] = attrs.field(
        factory=lambda: Registry("repository"), init=False
    )
    #: Held while transports begin to listen, so that a stop closes all that do.
    _opening: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _stopped: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _stopping: asyncio.Future[None] | None = attrs.field(default=None, init=False)
    _signalled: asyncio.Future[None] | None = attrs.field(default=None, init=False)
    _signals: StopSignals | None = attrs.field(default=None, init=False)
    _watchdog: LoopWatchdog | None = attrs.field(default=None, init=False)
    _serving: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        executors: Registry[ExecutorFactory] = Registry("executor")
        middlewares: OrderedRegistry[MiddlewareFactory] = OrderedRegistry("middleware")
        transports: Registry[TransportFactory] = Registry("transport")
        metrics = make_metrics(self.settings)
        collect_parts(self.plugins, self.runtimes, self.codecs)
        for name, registry in (
            ("repositories", self._repositories),
            ("transports", transports),
        ):
            self.plugins.collect(f"mlserver_register_{name}", registry, registry=registry)
        self.plugins.collect(
            "mlserver_register_executors", executors, registry=executors, settings=self.settings
        )
        self.plugins.collect(
            "mlserver_register_middlewares",
            middlewares,
            registry=middlewares,
            settings=self.settings,
            metrics=metrics,
        )
        parts = Parts(
            runtimes=self.runtimes,
            codecs=self.codecs,
            executors=executors,
            middlewares=middlewares.in_order(),
            metrics=metrics,
            workers=self.settings.parallel_workers,
        )
        self.engine = InferenceEngine(self.settings, parts, self.plugins)
        made = {name: make(self.settings, self.engine) for name, make in transports.items().items()}
        self.transports = {name: each for name, each in made.items() if each is not None}

    def is_stopping(self) -> bool:
        """Has ``stop`` been called?"""
        return self._stopping is not None

    async def start(self, models_settings: Iterable[ModelSettings] = ()) -> None:
        """Starts, and serves until ``stop``. Arguments and errors are those of ``startup``."""
        await self.startup(models_settings)
        await self.wait_stopped()

    async def startup(self, models_settings: Iterable[ModelSettings] = ()) -> None:
        """Starts to listen, and then loads the models.

        Args:
            models_settings: what to load; when empty, the models of the repository.

        Raises:
            SettingsError: settings of a model cannot be used.
            StartupError: an address cannot be bound, or a model failed to load and
                ``on_load_error`` is ``fail``. The server is stopped by then.
        """
        if self.is_stopping():
            raise StartupError("a server that was stopped cannot be started again; make another")
        started = time.monotonic()
        try:
            given = tuple(models_settings)
            _check_unique(given)
            repository: Repository = (
                GivenModels(given)
                if given
                else open_repository(self.settings, self._repositories, strict=self.strict)
            )
            self.engine.models.repository = repository
            listing = Listing(given) if given else await self._list(repository)
            models = listing.models
            await self._listen()
            if self.is_stopping():  # a signal came meanwhile
                return
            self._watch_loop()
            failed = await self.engine.models.load_all(models, listing.unreadable)
            if failed and self.settings.on_load_error == "fail":
                raise StartupError("\n".join(str(error) for error in failed))
        except BaseException:
            await self.stop()
            raise
        if self.is_stopping():  # a signal came while models were loading
            return
        self._serving = True
        seconds = time.monotonic() - started
        logger.info("Started with %d model(s) in %.2f seconds", len(models) - len(failed), seconds)
        if failed:
            logger.warning("Not serving: %s", ", ".join(error.name for error in failed))
        self.plugins.notify("mlserver_server_started", server=self)

    async def _list(self, repository: Repository) -> Listing:
        """What there is to load; nothing where a stop comes before the repository has said it."""
        try:
            return await self.engine.models.tasks.attend(list_at_start(self.settings, repository))
        except Unavailable:
            return Listing(())

    async def _listen(self) -> None:
        async with self._opening:
            for transport in self.transports.values():
                if self.is_stopping():
                    return
                await transport.start()
                logger.info("%s", transport.listening)

    async def stop(self, sig: int | None = None) -> None:
        """Takes work for another ``drain_delay`` while it says that it is not ready, finishes
        what is in flight within ``shutdown_grace_period``, and stops.

        Calling it again waits for the same stop.

        Args:
            sig: the signal that asked for it, for the log.
        """
        if self._stopping is None:
            if sig is not None:
                more = "; another signal stops at once" if self._signals else ""
                logger.info("Stopping on %s%s", signal.Signals(sig).name, more)
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def wait_stopped(self) -> None:
        """Returns when the server has stopped."""
        await self._stopped.wait()

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT stop the server, and every other one in this process that has been
        asked for the same. A second signal ends the process at once, with 128 + its number for
        exit code.

        To be called in the server's event loop, in the main thread. When the server has stopped,
        signals do what they did before.
        """
        self._signals = StopSignals(asyncio.get_running_loop(), self._stop_on)
        self._signals.listen()

    def _stop_on(self, number: int) -> None:
        self._signalled = asyncio.ensure_future(self.stop(number))

    async def __aenter__(self) -> Self:
        await self.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _stop(self) -> None:
        grace = self.settings.shutdown_grace_period
        try:
            self.plugins.notify("mlserver_server_stopping", server=self)
            await self._drain()
            deadline = time.monotonic() + grace
            async with self._opening:
                await self._each_transport(lambda transport: transport.stop_listening())
            await self.engine.models.stop_loading(grace)
            left = max(0.0, deadline - time.monotonic())
            if not await self.engine.in_flight.drained(left):
                logger.warning(
                    "%d request(s) did not finish within shutdown_grace_period (%s seconds)",
                    self.engine.in_flight.count,
                    grace,
                )
            # What is left of the time is for answers that are still being written.
            left = max(0.0, deadline - time.monotonic())
            await self._each_transport(lambda transport: transport.close(left))
            await self.engine.models.unload_all(max(grace, SHORTEST_UNLOAD))
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._signals is not None:
                self._signals.leave()
            self._stopped.set()

    async def _drain(self) -> None:
        """Says that it is not ready, and gives those who ask time to see that."""
        self.engine.draining = True
        delay = self.settings.drain_delay
        if self._serving and delay:
            logger.info("Not ready any more; takes work for another %s seconds", delay)
            await asyncio.sleep(delay)

    def _watch_loop(self) -> None:
        seconds = self.settings.loop_lag_warning
        if seconds:
            self._watchdog = LoopWatchdog(asyncio.get_running_loop(), "event loop", seconds)
            self._watchdog.start()

    async def _each_transport(self, do: Callable[[Transport], Awaitable[None]]) -> None:
        """Does something with every transport, whatever happens to another."""
        outcomes = await asyncio.gather(*map(do, self.transports.values()), return_exceptions=True)
        for name, outcome in zip(self.transports, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                logger.error("Transport %r failed to stop", name, exc_info=outcome)


def _check_unique(models: Iterable[ModelSettings]) -> None:
    seen = set()
    for model in models:
        key = (model.name, model.version)
        if key in seen:
            raise StartupError(f"model {named(*key)} is given twice")
        seen.add(key)
