"""Reads requests: one JSON object per line, of a file, a pipe or a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import uuid
from collections.abc import AsyncIterator

import attrs
import orjson

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest

#: Bytes read at once.
_CHUNK = 1 << 18


@attrs.frozen(kw_only=True)
class Line:
    """One line of the input.

    Attributes:
        index: which line it is, counted from 0; empty lines count.
        size: its length in bytes.
        request: what it asks; None where it is no request.
        problem: why it is none; empty too where nothing stands on the line.
    """

    index: int
    size: int
    request: InferenceRequest | None = None
    problem: str = ""

    @property
    def asked(self) -> InferenceRequest:
        """The request of a line that has one."""
        assert self.request is not None  # noqa: S101  # the others go nowhere
        return self.request


async def read_lines(descriptor: int) -> AsyncIterator[list[Line]]:
    """The lines of an open file, as they become available; a list has what came together."""
    index = 0
    begun: list[bytes] = []
    while chunk := await _read(descriptor):
        *whole, last = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            yield [read_line(index + offset, line) for offset, line in enumerate(whole)]
            index += len(whole)
        begun.append(last)
    if any(begun):
        yield [read_line(index, b"".join(begun))]


def read_line(index: int, text: bytes) -> Line:
    """What stands on a line. A request without an id gets one, which retries keep."""
    size = len(text) + 1
    if not text.strip():
        return Line(index=index, size=size)
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Line(index=index, size=size, problem=f"the line is not valid JSON: {error}")
    try:
        request = InferenceRequest.model_validate(plain)
    except InvalidRequest as error:
        return Line(index=index, size=size, problem=f"the line is no inference request: {error}")
    if request.id is None:
        request.id = str(uuid.uuid4())
    return Line(index=index, size=size, request=request)


async def _read(descriptor: int) -> bytes:
    """The next bytes. A thread waits for them that holds up no exit: of a pipe or a terminal
    they may never come.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    def tell(data: bytes, error: OSError | None) -> None:
        if came.done():  # given up meanwhile
            return
        if error is None:
            came.set_result(data)
        else:
            came.set_exception(error)

    def read() -> None:
        data, failure = b"", None
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, data, failure)

    threading.Thread(target=read, name="mlserver-infer-input", daemon=True).start()
    return await came
