"""Takes the calls of a connection, and sees to it that each ends with a status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import h2.errors
import h2.exceptions
from grpclib import protocol
from grpclib.const import Status
from grpclib.encoding.base import GRPC_CONTENT_TYPE
from grpclib.exceptions import GRPCError
from grpclib.server import Handler, _abort

from mlserver_core.grpc.call import Call
from mlserver_core.grpc.errors import to_grpc_error

logger = logging.getLogger("mlserver.grpc")

#: Calls that one connection may have open; as many as a model may have in its queue.
MOST_CALLS = 1024
#: Seconds by which timers of uvloop may be early: too early, the work of a call would look as if
#: its client had left.
_EARLY = 0.001

_EXPIRED = GRPCError(Status.DEADLINE_EXCEEDED, "the deadline of the call has passed")
_STOPPING = GRPCError(Status.UNAVAILABLE, "the server is stopping")


class CallHandler(Handler):
    """grpclib's handler of a connection; what happens within a call is ours.

    grpclib's ``request_handler`` logs a traceback for every error, leaves a call with metadata
    that it cannot read without an answer, and cannot tell a client that the server stops.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._calls: dict[Call, asyncio.Task[None]] = {}

    def accept(
        self,
        stream: protocol.Stream,
        headers: list[tuple[str, str]],
        release_stream: Callable[[], Any],
    ) -> None:
        """Begins a call; above ``MOST_CALLS`` it is refused, and may be tried again."""
        self.__gc_step__()
        if len(self._tasks) + len(self._cancelled) >= MOST_CALLS:
            self.__gc_collect__()  # forgets those that are done
        if len(self._tasks) + len(self._cancelled) >= MOST_CALLS:
            if stream.closable:  # a client may have reset it already
                stream.reset_nowait(h2.errors.ErrorCodes.REFUSED_STREAM)
            release_stream()
            return
        task = self.loop.create_task(self._take(stream, headers))
        # Not in the task: one that is cancelled before its first step runs none of its code, and
        # the connection would never get back what the stream holds of its window.
        task.add_done_callback(lambda _: release_stream())
        self._tasks[stream] = task

    def end_calls(self) -> list[asyncio.Task[None]]:
        """Gives up every call because the server stops; returns what then tells the clients."""
        tasks = list(self._calls.items())
        for call, task in tasks:
            call.end(task, _STOPPING)
        return [task for _, task in tasks]

    async def _take(self, stream: protocol.Stream, headers: list[tuple[str, str]]) -> None:
        by_name = dict(headers)
        path = by_name.get(":path", "")
        try:
            refusal = _refuse(by_name)
            method = self.mapping.get(path)
            if refusal is not None:
                await _abort(stream, *refusal)
            elif method is None:
                text = "there is no such method here"
                await _abort(stream, 200, Status.UNIMPLEMENTED, text)
            else:
                call = Call(
                    stream,
                    path,
                    method.cardinality,
                    method.request_type,
                    method.reply_type,
                    codec=self.codec,
                    status_details_codec=None,
                    dispatch=self.dispatch,
                )
                await self._answer(call, method.func, headers)
        except h2.exceptions.ProtocolError as error:
            logger.debug("The client of %s left before it had its answer: %s", path, error)

    async def _answer(
        self,
        call: Call,
        function: Callable[[Call], Awaitable[None]],
        headers: list[tuple[str, str]],
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # accept() made it
        self._calls[call] = task
        try:
            with call.work:
                await call.finish(await self._run(call, function, headers, task))
        finally:
            del self._calls[call]

    async def _run(
        self,
        call: Call,
        function: Callable[[Call], Awaitable[None]],
        headers: list[tuple[str, str]],
        task: asyncio.Task[None],
    ) -> GRPCError | None:
        """Works on a call; returns why it failed."""
        timer = None
        failure = None
        try:
            call.open(headers)
            if call.expires is not None:
                left = call.expires - time.monotonic()
                if left <= 0:
                    return _EXPIRED
                timer = self.loop.call_later(left + _EARLY, call.end, task, _EXPIRED)
            await function(call)
        except asyncio.CancelledError:
            if call.ended is None:  # the client or its connection is gone
                raise
        except h2.exceptions.ProtocolError:
            raise
        except GRPCError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # the boundary: a status for every error
            failure = to_grpc_error(error)
        finally:
            if timer is not None:
                timer.cancel()
        return call.ended or failure


def _refuse(headers: dict[str, str]) -> tuple[int, Status | None, str | None] | None:
    """The HTTP status, and the gRPC one, of what is no gRPC call; None for a call."""
    if headers.get(":method") != "POST":
        return 405, None, None
    content_type = headers.get("content-type")
    if content_type not in (GRPC_CONTENT_TYPE, f"{GRPC_CONTENT_TYPE}+proto"):
        return 415, Status.UNKNOWN, "expected application/grpc as content-type"
    if headers.get("te") != "trailers":
        return 400, Status.UNKNOWN, 'expected the header "te: trailers"'
    return None
