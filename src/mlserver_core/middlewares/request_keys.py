"""What makes two requests the same to a model, as a digest."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from mlserver_core.types import InferenceRequest, Parameters

#: Headers that say how a request travels or who traces it, and not what is asked. Not among them:
#: who asks (``authorization``, ``cookie``, ``x-forwarded-user``), in which language, or anything
#: that nobody has heard of.
IGNORED_HEADERS = (
    # Request ids
    "request-id",
    "x-request-id",
    "x-correlation-id",
    "seldon-puid",
    # Tracing
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-*",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-*",
    "sentry-trace",
    # CloudEvents
    "ce-*",
    # Transport
    "accept",
    "accept-charset",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "grpc-*",
    "host",
    "inference-header-content-length",
    "keep-alive",
    "pragma",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-envoy-*",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-timeout",
)
#: Bytes of a digest: too many for two requests ever to have the same by chance or by intent.
_DIGEST_SIZE = 32


class _NoKey(TypeError):
    """A value that cannot be compared by what it looks like."""


@attrs.frozen
class RequestKeys:
    """Digests requests; those of one digest are the same to a model.

    It covers names, datatypes, shapes, data and parameters of the inputs, the request's
    parameters, the requested outputs, and headers; not the request's id. Data count bit by bit:
    NaN is the same as the same NaN, and 0.0 is not -0.0.

    Attributes:
        names: headers that do not count, in lower case.
        prefixes: headers that begin with one of these do not count either.
    """

    names: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def ignoring(cls, headers: Iterable[str]) -> RequestKeys:
        """Those for which these headers do not count, in any case; a trailing ``*`` stands for
        whatever follows.
        """
        lower = [name.lower() for name in headers]
        return cls(
            frozenset(name for name in lower if not name.endswith("*")),
            tuple(name[:-1] for name in lower if name.endswith("*")),
        )

    def digest(self, request: InferenceRequest) -> bytes | None:
        """The digest of a request that the engine has admitted, 32 bytes.

        Array memory is hashed where it is. None for a request with a parameter of a type that
        no transport brings, or nested too deeply to be looked through.
        """
        hashed = hashlib.blake2b(digest_size=_DIGEST_SIZE)
        try:
            for piece in self._pieces(request):
                hashed.update(piece)
        except (_NoKey, RecursionError):
            return None
        return hashed.digest()

    def _pieces(self, request: InferenceRequest) -> list[Any]:
        given = _plain(request.parameters)
        headers = given.pop("headers", None) or {}
        wanted = request.outputs or []
        pieces: list[Any] = []
        _add(pieces, [given, self._counting(headers)])
        _add(pieces, [[output.name, _plain(output.parameters)] for output in wanted])
        for tensor in request.inputs:
            parameters = _plain(tensor.parameters)
            _add(pieces, [tensor.name, tensor.datatype, tensor.shape, parameters, tensor.data.root])
        return pieces

    def _counting(self, headers: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Name and value of the headers that count, in order of their names."""
        lower = sorted((name.lower(), name) for name in headers)
        return [
            (name, headers[given])
            for name, given in lower
            if name not in self.names and not name.startswith(self.prefixes)
        ]


def _plain(parameters: Parameters | None) -> dict[str, Any]:
    return parameters.to_plain() if parameters else {}


def _add(pieces: list[Any], value: Any) -> None:
    """Adds bytes that stand for no other value; each begins with its kind and its length."""
    if isinstance(value, (np.ndarray, np.generic)):
        _add_array(pieces, np.asarray(value))
    elif isinstance(value, (list, tuple)):
        pieces.append(b"l%d;" % len(value))
        if set(map(type, value)) <= {str, bytes}:  # the elements of a BYTES tensor
            pieces.append(b"".join(map(_scalar, value)))
            return
        for item in value:
            _add(pieces, item)
    elif isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        pieces.append(b"m%d;" % len(value))
        for name in sorted(value):
            _add(pieces, name)
            _add(pieces, value[name])
    else:
        pieces.append(_scalar(value))


def _scalar(value: Any) -> bytes:
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return b"s%d;" % len(data) + data
    if isinstance(value, (bytes, bytearray)):
        return b"b%d;" % len(value) + value
    if value is None or isinstance(value, bool):
        return b"c%d;" % (None, False, True).index(value)
    if isinstance(value, int):
        return b"x%s;" % f"{value:x}".encode()
    if isinstance(value, float):
        return b"d" + struct.pack("<d", value)
    raise _NoKey(type(value).__name__)


def _add_array(pieces: list[Any], array: np.ndarray) -> None:
    """Type and memory; the shape that counts is the tensor's, whether data came flat or nested."""
    if array.dtype.hasobject:
        _add(pieces, array.reshape(-1).tolist())
        return
    flat = np.ascontiguousarray(array).reshape(-1)
    pieces.append(b"a%s;%d;" % (flat.dtype.str.encode(), flat.nbytes))
    pieces.append(flat.view(np.uint8))
