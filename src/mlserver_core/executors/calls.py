"""Calls of plain functions, whose results come to the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import attrs

from mlserver_core.types.context import RequestContext, current_request


@attrs.define(eq=False)
class Call:
    """A function that is called once, in the context of whoever makes this.

    Its methods, but for ``run``, are called on the event loop.

    Attributes:
        answer: what comes of it, for the caller; cancelling it ends nothing that has begun.
        request: what it is called for, if it is a request.
    """

    answer: asyncio.Future[Any]
    _function: Callable[..., Any]
    _arguments: tuple[Any, ...]
    #: Takes this out of the queue; False if it has begun.
    _leave: Callable[[Call], bool] = lambda _: False
    request: RequestContext | None = attrs.field(factory=current_request.get, init=False)
    _context: contextvars.Context = attrs.field(factory=contextvars.copy_context, init=False)
    _end: asyncio.Future[None] | None = attrs.field(default=None, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    def run(self) -> tuple[Any, BaseException | None]:
        """Makes the call, and returns what ``finish`` takes: what it returned, or raised."""
        try:
            return self._context.run(self._function, *self._arguments), None
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            return None, error
        finally:
            del self  # the traceback of the error holds this frame

    def finish(self, result: Any, error: BaseException | None) -> None:
        """It is over, and this came of it."""
        self._is_over = True
        if self._end is not None:
            self._end.set_result(None)
        if self.answer.done():
            return  # the caller has left
        if isinstance(error, StopIteration):  # which no future takes
            self.answer.set_exception(_named(error))
        elif error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)

    def withdraw(self, error: BaseException | None = None) -> None:
        """Sees to it that it never begins, unless it has; the answer is ``error`` then, or else
        cancelled.
        """
        if self._leave(self):
            if error is None:
                self.answer.cancel()
            self.finish(None, error)

    def end(self) -> asyncio.Future[None]:
        """Is done when the call is over, whatever becomes of its caller; several may wait for it,
        so nobody may cancel it.
        """
        if self._end is None:
            self._end = self.answer.get_loop().create_future()
            if self._is_over:
                self._end.set_result(None)
        return self._end


def _named(error: StopIteration) -> RuntimeError:
    named = RuntimeError("StopIteration was raised outside a generator")
    named.__cause__ = error
    return named
