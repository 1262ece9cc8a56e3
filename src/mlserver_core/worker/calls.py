"""What the server has asked of this process and has no answer to yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import attrs

from mlserver_core.errors import (
    Cancelled,
    InternalError,
    MLServerError,
    ModelLoadError,
    RuntimeFailed,
)
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext
from mlserver_core.worker.models import Models
from mlserver_core.worker.sender import Sender

logger = logging.getLogger("mlserver")

_NOTHING = object()


@attrs.define(eq=False)
class _Asked:
    """What server and model want of each other while a call is on its way.

    Attributes:
        wanted: items that the server is ready for.
        inputs: what came for the model.
    """

    wanted: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(0))
    inputs: asyncio.Queue[Frame] = attrs.field(factory=asyncio.Queue)


@attrs.define(eq=False)
class Call:
    """One piece of work that the server has asked for.

    Attributes:
        id: that the server gave it.
        sender: to the server.
        generation: of the model that it is for.
        context: where the request came from that it works for.
        ends_with: what ends it when nothing goes wrong: RESULT, or END of what gives items.
        cancelled: has the server said that nobody waits for it any more?
        task: does the work, once that has begun.
    """

    id: int
    sender: Sender
    generation: int
    context: RequestContext
    ends_with: Kind = Kind.RESULT
    cancelled: bool = attrs.field(default=False, init=False)
    task: asyncio.Task[Any] | None = attrs.field(default=None, init=False)
    _asked: _Asked | None = attrs.field(default=None, init=False)

    def cancel(self) -> None:
        """Nobody waits for it any more; the second time does nothing."""
        if not self.cancelled and self.task is not None:
            self.cancelled = self.context.cancelled = True
            self.task.cancel()

    def take(self, frame: Frame) -> None:
        """Takes what the server sends while the call is on its way."""
        if frame.kind is Kind.NEXT:
            self._asking().wanted.release()
        else:
            self._asking().inputs.put_nowait(frame)

    def _asking(self) -> _Asked:
        """Made at the first use: most calls have one answer, and are asked for nothing."""
        if self._asked is None:
            self._asked = _Asked()
        return self._asked

    async def give(
        self,
        items: AsyncGenerator[Any, None],
        is_last: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        """Sends items, each when the server wants it, so that none is made before.

        Args:
            items: closed at the end.
            is_last: does one say of itself that no other follows?
        """
        async with aclosing(items):
            while True:
                await self._asking().wanted.acquire()
                item = await anext(items, _NOTHING)
                if item is _NOTHING:
                    return
                self.sender.send(Kind.ITEM, self.id, item)
                if is_last(item):
                    return

    async def requests(self) -> AsyncIterator[InferenceRequest]:
        """The requests of a stream; the server is asked for each when the model asks for it."""
        while True:
            self.sender.send(Kind.WANT, self.id, None)
            frame = await self._asking().inputs.get()
            if frame.kind is Kind.INPUT_END:
                return
            if frame.kind is Kind.INPUT_ERROR:
                raise frame.body
            yield frame.body


@attrs.define(eq=False)
class Calls:
    """The calls that are on their way; each ends with exactly one frame.

    Attributes:
        sender: to the server.
        models: that the calls are for.
    """

    sender: Sender
    models: Models
    _calls: dict[int, Call] = attrs.field(factory=dict, init=False)
    _leaving: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)

    def start(self, call: Call, work: Coroutine[Any, Any, Any]) -> None:
        """Begins a call.

        Args:
            call: its facts.
            work: returns what the server gets for it.
        """
        self._calls[call.id] = call
        call.task = self._loop.create_task(work)
        call.task.add_done_callback(partial(self._ended, call))

    def find(self, id: int) -> Call | None:
        """The call of that id; None for one that is over."""
        return self._calls.get(id)

    def _ended(self, call: Call, task: asyncio.Task[Any]) -> None:
        try:
            kind, body = call.ends_with, task.result()
        except asyncio.CancelledError:
            kind, body = Kind.ERROR, _cancelled(call)
        except (MLServerError, ModelLoadError) as error:
            kind, body = Kind.ERROR, error
        except Exception:
            logger.exception("A call of a worker failed")
            kind, body = Kind.ERROR, _internal()
        if kind is Kind.ERROR and self._works_on(call):
            # A thread cannot be ended, and the server counts with what this process really does.
            leaving = asyncio.ensure_future(self._end_later(call, kind, body))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        else:
            self._end(call, kind, body)

    def _works_on(self, call: Call) -> ThreadsExecutor | None:
        """The executor that has threads for this call, if there is one."""
        executor = self.models.executor(call.generation)
        return executor if isinstance(executor, ThreadsExecutor) else None

    async def _end_later(self, call: Call, kind: Kind, body: Any) -> None:
        executor = self._works_on(call)
        if executor is not None:
            await executor.idle_for(call.context)
        self._end(call, kind, body)

    def _end(self, call: Call, kind: Kind, body: Any) -> None:
        del self._calls[call.id]
        self.models.report_ready(call.generation)
        try:
            self.sender.send(kind, call.id, body)
        except RuntimeFailed as error:
            text = f"the model's answer cannot be sent to the server: {error}"
            logger.error("%s, on request %s", text, call.context.request_id)  # noqa: TRY400
            self.sender.send(Kind.ERROR, call.id, RuntimeFailed(text))
        except ConnectionError:
            raise
        except Exception:  # of a value of the model's own class; the server waits for one or other
            logger.exception("An answer cannot be sent, on request %s", call.context.request_id)
            self.sender.send(Kind.ERROR, call.id, _internal())


def _internal() -> InternalError:
    return InternalError("internal error; the server's log has the details")


def _cancelled(call: Call) -> MLServerError:
    if call.cancelled:
        return Cancelled("nobody waits for the answer any more")
    return RuntimeFailed("CancelledError: the runtime cancelled its own work")
