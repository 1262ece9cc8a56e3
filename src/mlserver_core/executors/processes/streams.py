"""Streams between a client and a model in a worker, a step at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import attrs

from mlserver_core.errors import InvalidRequest, MLServerError, RuntimeFailed
from mlserver_core.executors.processes.calls import Call
from mlserver_core.executors.processes.dispatcher import Dispatcher
from mlserver_core.executors.processes.frames import Kind


@attrs.define(eq=False)
class Stream:
    """One stream.

    The worker is asked for an item when the client is ready for one, and asks for a request when
    the model reads one, so that the model's code runs no further than it would in this process.
    The two go on independently: a model may answer while it waits for what comes next.

    Attributes:
        call: has ``frames``.
        dispatcher: finds the worker.
        requests: what the client sends; None where the worker will not ask.
    """

    call: Call
    dispatcher: Dispatcher
    requests: AsyncIterator[Any] | None = None
    _giving: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _broken: Exception | None = attrs.field(default=None, init=False)

    async def items(self) -> AsyncGenerator[Any, None]:
        """What the worker sends; raises what ended it there, or what broke off ``requests``."""
        call, frames = self.call, self.call.frames
        assert frames is not None  # noqa: S101  # it is a stream
        self.dispatcher.place(call)
        try:
            while (frame := await frames.get()) is not None:
                if frame.kind is Kind.WANT:
                    self._giving = asyncio.ensure_future(self._give())
                    continue
                yield frame.body
                self._send(Kind.NEXT)
            try:
                await call.ended
            except MLServerError as error:
                raise self._broken or error from None
        finally:
            await self._leave()

    async def _give(self) -> None:
        """Reads a request for the model."""
        assert self.requests is not None  # noqa: S101  # nobody else is asked
        try:
            request = await anext(self.requests)
        except StopAsyncIteration:
            self._send(Kind.INPUT_END)
        except MLServerError as error:
            self._send(Kind.INPUT_ERROR, error)
        except Exception as error:  # noqa: BLE001  # the transport's; raised where the stream ends
            self._broken = error
            self._send(Kind.INPUT_ERROR, InvalidRequest("the stream of requests broke off"))
        else:
            try:
                self._send(Kind.INPUT, request)
            except RuntimeFailed as error:
                text = f"the request cannot be given to a worker: {error}"
                self._send(Kind.INPUT_ERROR, InvalidRequest(text))

    def _send(self, kind: Kind, body: Any = None) -> None:
        worker = self.call.worker
        if worker is None or self.call.id not in worker.calls:
            return
        worker.send(kind, self.call.id, body)

    async def _leave(self) -> None:
        """Ends what is still under way."""
        call = self.call
        if not call.ended.done():
            call.ended.cancel()
            self.dispatcher.give_up(call, expired=call.expired)
        elif not call.ended.cancelled():
            call.ended.exception()  # it has been told, or nobody is left to be told
        if self._giving is not None:
            self._giving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._giving
