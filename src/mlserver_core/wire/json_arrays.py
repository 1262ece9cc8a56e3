"""Large tensors in JSON bodies, read without a Python object for every number.

The arrays of numbers under ``data`` are cut out of the text and read by simdjson, in pieces that
fit a processor's cache; orjson reads what is left, with a mark in the place of each. Whatever
does not fit is no matter of this module: orjson reads such a body whole, so that what is accepted,
and what a client is told of a mistake, do not depend on a body's size.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import numpy as np
import orjson
import simdjson

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.datatypes import FLOATS, Datatype, to_dtype, to_member
from mlserver_core.types.tensors import count_elements, to_values

#: Bytes; a shorter array is read faster by orjson.
LARGE = 2 * 2**10
#: Bytes of text that are read at once.
PIECE = 128 * 2**10

_KEY = b'"data"'
_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
#: What is left out to see how an array is nested.
_NUMBERS = b"0123456789+-.eE \t\r\n"
#: What simdjson and the checks here raise for what they do not take.
_MISFITS = (InvalidRequest, ValueError, TypeError, KeyError, RuntimeError)


@attrs.frozen
class _Span:
    """Where an array is in a body: from its first bracket to behind its last one."""

    start: int
    end: int


def loads(body: bytes | bytearray) -> Any:
    """The plain data of an inference request, as ``orjson.loads`` gives it but for large tensors
    of numbers: their ``data`` are arrays of their datatype, flat or in their shape as they came.

    Raises:
        orjson.JSONDecodeError: no JSON.
    """
    spans = list(_find_arrays(body)) if len(body) > LARGE else []
    if spans:
        try:
            return _load_apart(body, spans)
        except _MISFITS:
            pass
    return orjson.loads(body)


def _find_arrays(body: bytes | bytearray) -> Iterator[_Span]:
    """The text behind each key ``data`` that may be a large array of numbers: it goes on to the
    next quote or brace, of which such an array has none.
    """
    at = body.find(_KEY)
    while at >= 0:
        start = at + len(_KEY)
        end = body.find(b'"', start)
        if end < 0:
            end = len(body)
        if end - start > LARGE:
            brace = body.find(b"}", start, end)
            end = end if brace < 0 else brace
            opening = _OPENING.match(body, start, end)
            if opening:
                span = _Span(opening.end() - 1, body.rfind(b"]", start, end) + 1)
                if span.end - span.start > LARGE:
                    yield span
        at = body.find(_KEY, end)


def _load_apart(body: bytes | bytearray, spans: list[_Span]) -> Any:
    """As ``loads``; raises one of ``_MISFITS`` where orjson has to read the whole body."""
    mark = secrets.randbits(62)  # a number that no client can have sent
    rest: list[bytes | bytearray] = []
    at = 0
    for index, span in enumerate(spans):
        rest += [body[at : span.start], b"%d" % (mark + index)]
        at = span.end
    plain = orjson.loads(b"".join([*rest, body[at:]]))
    marked = dict(enumerate(spans, mark))
    for tensor in plain["inputs"]:
        data = tensor["data"]
        if type(data) is int and data in marked:
            tensor["data"] = _read_array(body, marked.pop(data), tensor)
    if marked:
        raise ValueError("an array that is no tensor's data")
    return plain


def _read_array(body: bytes | bytearray, span: _Span, tensor: dict[str, Any]) -> np.ndarray:
    """The array of a tensor of which nothing has been checked yet."""
    datatype, shape = to_member(tensor["datatype"]), tensor["shape"]
    if datatype is Datatype.BYTES:
        raise TypeError("no tensor of numbers")
    count = count_elements("", shape)
    if 2 * count >= span.end - span.start:  # each number has a digit, and a comma or a bracket
        raise ValueError("too few numbers for the shape")
    made: np.ndarray = np.empty(count, to_dtype(datatype))
    filled = 0
    nesting = None if body.find(b"[", span.start + 1, span.end) < 0 else _Nesting()
    for values in _read_numbers(_split(body, span), datatype, nesting):
        made[filled : filled + len(values)] = to_values("", datatype, values)
        filled += len(values)
    if filled != count:
        raise ValueError("too few numbers for the shape")
    if nesting is None:
        return made
    if not nesting.fits(shape):
        raise ValueError("nested in another way than the shape says")
    shaped: np.ndarray = made.reshape(shape)
    return shaped


def _split(body: bytes | bytearray, span: _Span) -> Iterator[bytes | bytearray]:
    """The text between an array's outer brackets, cut at commas."""
    start, last = span.start + 1, span.end - 1
    while start <= last:
        end = last if last - start <= PIECE else body.rfind(b",", start, start + PIECE)
        if end < 0:
            raise ValueError("no number is that long")
        yield body[start:end]
        start = end + 1


def _read_numbers(
    texts: Iterable[bytes | bytearray], datatype: Datatype, nesting: _Nesting | None
) -> Iterator[np.ndarray]:
    """The numbers of the pieces of an array, flat.

    Each piece is made an array of its own: by the brackets that are open where it was cut, and
    a zero on the other side of the commas there, for behind ``[1,`` there has to be a number.
    """
    parser = simdjson.Parser()
    opened = closed = 1
    for text in texts:
        if nesting is not None:
            opened, closed = nesting.add(text)
        piece = b"".join((b"[" * opened, b"0,", text, b",0", b"]" * closed))
        yield _flatten(parser.parse(piece), datatype)[1:-1]


def _flatten(array: Any, datatype: Datatype) -> np.ndarray:
    """The numbers of simdjson's array; of which nothing may be left for its parser to go on."""
    if datatype in FLOATS:
        return np.frombuffer(array.as_buffer(of_type="d"), np.float64)
    if datatype is Datatype.UINT64:
        return np.frombuffer(array.as_buffer(of_type="u"), np.uint64)
    return np.frombuffer(array.as_buffer(of_type="i"), np.int64)


@attrs.define
class _Nesting:
    """How an array of numbers is nested.

    Attributes:
        pieces: the brackets and commas of its text, but for the outer brackets and the commas
            between pieces.
        depth: how many brackets are open behind the last piece.
    """

    pieces: list[bytes | bytearray] = attrs.field(factory=list, init=False)
    depth: int = attrs.field(default=1, init=False)

    def add(self, text: bytes | bytearray) -> tuple[int, int]:
        """Adds a piece; how many brackets are open before and behind it."""
        piece, before = text.translate(None, _NUMBERS), self.depth
        self.pieces.append(piece)
        self.depth += piece.count(b"[") - piece.count(b"]")
        return before, self.depth

    def fits(self, shape: list[int]) -> bool:
        """Is it that of a shape?"""
        found = b"[" + b",".join(self.pieces) + b"]"
        expected = b""
        for size in reversed(shape):
            if size * (len(expected) + 1) >= len(found):  # of any length, for sizes of 1
                return False
            expected = b"[" + (expected + b",") * (size - 1) + expected + b"]"
        return found == expected
