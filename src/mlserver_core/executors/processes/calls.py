"""One call of a model in a worker, as the server sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext

if TYPE_CHECKING:
    from mlserver_core.executors.processes.process import WorkerProcess


def _make_future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@attrs.define(kw_only=True, eq=False)
class Call:
    """What a worker is asked, until it has said that it is done with it.

    Attributes:
        kind: what is asked.
        generation: the load of a model that it is for.
        body: what is sent.
        context: of the request; None for a call that no client waits for.
        request: what the model is asked, where it may be asked again.
        idempotent: may it be asked again?
        size: bytes of its tensors.
        ended: gets the answer.
        frames: of a stream, what the worker sends before the end; None for any other call.
        worker: which was asked last.
        id: under which that one knows it.
        sent: how many workers were asked.
        sent_at: when the last one was, in seconds of ``time.monotonic()``.
        suspect: was it, or the batch it is of, in a worker that has ended?
        alone: is it in a worker that does nothing else, so that nothing else can end that?
    """

    kind: Kind
    generation: int
    body: dict[str, Any]
    context: RequestContext | None = None
    request: InferenceRequest | None = None
    idempotent: bool = True
    size: int = 0
    ended: asyncio.Future[Any] = attrs.field(factory=_make_future)
    frames: asyncio.Queue[Frame | None] | None = None
    worker: WorkerProcess | None = None
    id: int = 0
    sent: int = 0
    sent_at: float = 0.0
    suspect: bool = False
    alone: bool = False

    @property
    def merged(self) -> bool:
        """Are several requests asked together?"""
        return self.context is not None and len(self.context.batch) > 1

    @property
    def running(self) -> bool:
        """Has a worker been asked, and not finished it?"""
        return self.worker is not None and self.id in self.worker.calls

    @property
    def expired(self) -> bool:
        """Has its time run out?"""
        return self.context is not None and self.context.remaining() == 0

    def succeed(self, value: Any) -> None:
        """The answer is there; nothing happens where nobody waits any more."""
        if not self.ended.done():
            self.ended.set_result(value)
            self._wake()

    def fail(self, error: BaseException) -> None:
        """There will be no answer; nothing happens where nobody waits any more."""
        if not self.ended.done():
            self.ended.set_exception(error)
            self._wake()

    def _wake(self) -> None:
        if self.frames is not None:
            self.frames.put_nowait(None)


def size_of(request: InferenceRequest) -> int:
    """Bytes of the tensors of a request, about."""
    total = 0
    for tensor in request.inputs:
        root = tensor.data.root
        size = getattr(root, "nbytes", None)
        total += sum(map(len, filter(None, root))) if size is None else size
    return total
