"""The executor of one model that lives in worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import attrs

from mlserver_core.errors import Unavailable
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall, ModelDescription, ModelSource
from mlserver_core.executors.processes.calls import Call, size_of
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.executors.processes.generation import Generation
from mlserver_core.executors.processes.pool import Pool
from mlserver_core.executors.processes.quarantine import Verdict
from mlserver_core.executors.processes.streams import Stream
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext, request_context


@attrs.frozen
class Lease:
    """A pool that is there at least until it is released.

    Attributes:
        pool: the workers.
        release: they are needed no more for a model; to be called once.
    """

    pool: Pool
    release: Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class ProcessesExecutor:
    """Asks the workers of a pool, which other models may share.

    Attributes:
        settings: of the model.
        take: gives the pool that the model is to live in; raises ModelLoadError.
        pool: where it lives; there is none before the load.
        timeout: seconds after which a request that is still worked on has its worker ended, once
            its time is up, whether or not its caller has left before; None lets it go on.
    """

    settings: ModelSettings
    take: Callable[[ModelSettings], Awaitable[Lease]]
    timeout: float | None = None
    pool: Pool = attrs.field(init=False)
    _release: Callable[[], Awaitable[None]] | None = attrs.field(default=None, init=False)
    _generation: Generation | None = attrs.field(default=None, init=False)

    async def load(self, source: ModelSource) -> ModelDescription:
        """Loads the model in every worker; raises ModelLoadError."""
        lease = await self.take(self.settings)
        self.pool, self._release = lease.pool, lease.release
        self._generation, description = await self.pool.load(source)
        return description

    async def predict(self, request: Any) -> Any:
        """Has a worker run the model's ``predict``; raises MLServerErrors only."""
        call = self._make(Kind.PREDICT, {"request": request})
        call.request = request
        call.size = size_of(request)
        return await self._ask(call)

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Has a worker run another method of the model."""
        body = {"method": method, "arguments": dict(arguments)}
        return await self._ask(self._make(Kind.CALL, body))

    async def predict_stream(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Has a worker run the model's ``predict_stream``."""
        call = self._make(Kind.STREAM, {}, stream=True)
        async with aclosing(Stream(call, self.pool.dispatcher, requests).items()) as items:
            try:
                async for item in items:
                    yield item
            finally:
                self._watch(call)

    async def exchange(
        self, handler: str, call: HttpCall
    ) -> AsyncGenerator[HttpAnswer | bytes, None]:
        """Has a worker run a custom handler."""
        asked = self._make(Kind.EXCHANGE, {"handler": handler, "call": call}, stream=True)
        async with aclosing(Stream(asked, self.pool.dispatcher).items()) as pieces:
            try:
                async for piece in pieces:
                    yield piece
            finally:
                self._watch(asked)

    def available(self) -> bool:
        """Has a worker the model?"""
        return self._generation is not None and self.pool.dispatcher.can_serve(
            self._generation.number
        )

    def reason(self) -> str:
        """Why no worker has the model; empty while one has it."""
        if self._generation is None or self.available():
            return ""
        return self._generation.failure or "no worker process is there just now"

    def model_ready(self) -> bool:
        """Is the model of at least one worker ready?"""
        if self._generation is None:
            return False
        number = self._generation.number
        for worker in self.pool.dispatcher.workers:  # noqa: SIM110  # asked for each request
            if worker.loaded.get(number):
                return True
        return False

    def must_be_alone(self, request: InferenceRequest) -> bool:
        """Was the request in a worker that has ended, and has not been answered since?"""
        if self._generation is None:
            return False
        quarantine = self.pool.dispatcher.quarantine
        return quarantine.verdict(self._generation.number, request) is not Verdict.CLEAR

    async def idle(self) -> None:
        """Returns when no worker has anything to do for the model."""
        if self._generation is not None:
            await self.pool.idle(self._generation)

    async def unload(self) -> None:
        """Unloads the model in every worker."""
        if self._generation is not None:
            await self.pool.unload(self._generation)

    async def close(self) -> None:
        """Lets go of the pool, which ends its workers with its last model."""
        release, self._release = self._release, None
        if release is not None:
            await release()

    def _make(self, kind: Kind, body: dict[str, Any], *, stream: bool = False) -> Call:
        if self._generation is None:
            raise Unavailable("the model was asked before it was loaded")
        context = request_context() or RequestContext()
        number = self._generation.number
        return Call(
            kind=kind,
            generation=number,
            body={"generation": number, "context": context, **body},
            context=context,
            idempotent=self.settings.idempotent,
            frames=asyncio.Queue() if stream else None,
            suspect=context.lost_workers > 0,
        )

    async def _ask(self, call: Call) -> Any:
        self.pool.dispatcher.place(call)
        try:
            return await call.ended
        except asyncio.CancelledError:
            self.pool.dispatcher.give_up(call, expired=call.expired)
            self._watch(call)
            raise

    def _watch(self, call: Call) -> None:
        """Has the worker ended that is still at a call which nobody waits for, long after its time
        was up.
        """
        worker, context = call.worker, call.context
        if self.timeout is None or worker is None or call.id not in worker.calls:
            return
        # What began just before its time was up gets as long again. The timer is to know no more
        # than its id: it would keep the tensors all that time.
        left = (context.remaining() if context is not None else None) or 0.0
        stuck = worker, call.id, self.timeout
        asyncio.get_running_loop().call_later(left + self.timeout, self.pool.end_stuck, *stuck)
