"""Writes one JSON line per request, in order or as answers come, and counts them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from io import RawIOBase
from typing import Any

import attrs

from mlserver_core.cli.inference.lines import Line
from mlserver_core.errors import MLServerError
from mlserver_core.types import Datatype, InferenceResponse, Parameters, ResponseOutput
from mlserver_core.types.tensor_data import TensorData
from mlserver_core.wire.json import encode, encode_response

#: Statuses of error lines: the line was not sent, or the call for it failed.
NO_REQUEST, CALL_FAILED = "preprocessing error", "inference error"


@attrs.define(kw_only=True, eq=False)
class Results:
    """Where results go. Each line has a place from ``reserve`` until its result is written.

    Attributes:
        file: takes whole lines at once, unbuffered, so that a crash loses none of them.
        is_ordered: a result waits until those of all lines before it are written.
        places: how many lines can be between being read and being written.
        tell: called after each result.
        answered: lines with an answer.
        failed: lines with an error.
        size: bytes of the input that are done with.
    """

    file: RawIOBase
    is_ordered: bool
    places: asyncio.Semaphore
    tell: Callable[[Results], None]
    answered: int = 0
    failed: int = 0
    size: int = 0
    _held: dict[int, bytes] = attrs.field(factory=dict)
    _next: int = 0

    async def reserve(self) -> None:
        """Waits until there is a place for one more line."""
        await self.places.acquire()

    def answer(self, line: Line, response: InferenceResponse, inference_id: str) -> None:
        """Takes a line's answer; raises OSError when the file takes no more."""
        try:
            text = _answer(line.index, response, inference_id)
        except MLServerError as error:
            self.fail(line, CALL_FAILED, f"the answer cannot be written: {error}", inference_id)
            return
        self.answered += 1
        self._take(line, text)

    def fail(self, line: Line, status: str, message: str, inference_id: str = "") -> None:
        """Takes a line's error; raises OSError when the file takes no more."""
        parameters: dict[str, Any] = {"batch_index": line.index}
        if inference_id:
            parameters["inference_id"] = inference_id
        error = {"status": status, "msg": message}
        self.failed += 1
        self._take(line, encode({"parameters": parameters, "error": error}) + b"\n")

    def skip(self, line: Line) -> None:
        """Takes note of an empty line, which has no result."""
        self._take(line, b"")

    def write_held(self) -> None:
        """Writes what waits for lines that get no result any more; raises OSError."""
        for index in sorted(self._held):
            self._write(self._held.pop(index))

    def _take(self, line: Line, text: bytes) -> None:
        self.size += line.size
        if self.is_ordered:
            self._held[line.index] = text
            while self._next in self._held:
                self._write(self._held.pop(self._next))
                self._next += 1
        else:
            self._write(text)
        self.tell(self)

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[self.file.write(rest) :]
        self.places.release()


def _answer(index: int, response: InferenceResponse, inference_id: str) -> bytes:
    if response.parameters is None:
        response.parameters = Parameters()
    response.parameters.model_extra.update(batch_index=index, inference_id=inference_id)
    for output in response.outputs:
        if output.datatype is Datatype.BYTES and not _is_text(output):
            _to_base64(output)
    return encode_response(response) + b"\n"


def _is_text(output: ResponseOutput) -> bool:
    root = output.data.root
    try:
        for element in root if isinstance(root, list) else ():
            if isinstance(element, bytes):
                element.decode()
    except UnicodeDecodeError:
        return False
    return True


def _to_base64(output: ResponseOutput) -> None:
    """JSON cannot carry bytes that are no text, so they go as content type base64."""
    texts = [base64.b64encode(element).decode() for element in output.data.root]
    output.data = TensorData(texts)
    if output.parameters is None:
        output.parameters = Parameters()
    output.parameters.content_type = "base64"
