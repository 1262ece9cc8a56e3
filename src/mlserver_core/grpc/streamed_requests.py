"""The requests of one ModelStreamInfer call."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.call import Call
from mlserver_core.types import InferenceRequest
from mlserver_core.wire.protobuf import decode_request


@attrs.define(eq=False)
class StreamedRequests:
    """Reads a message when the next request is asked for, and none before.

    Attributes:
        raw: the first message had raw contents; known once it is read.
    """

    _call: Call
    _message_type: Any
    _limit: int
    raw: bool = attrs.field(default=False, init=False)
    _first: InferenceRequest | None = attrs.field(default=None, init=False)

    async def begin(self) -> Any:
        """Reads the first message and returns it.

        Raises:
            InvalidRequest: there is none, or it is no request.
        """
        message = await self._call.receive(self._message_type, self._limit)
        if message is None:
            raise InvalidRequest("the stream ended before a request came")
        self._first, self.raw = decode_request(message)
        return message

    def __aiter__(self) -> StreamedRequests:
        return self

    async def __anext__(self) -> InferenceRequest:
        if self._first is not None:
            request, self._first = self._first, None
            return request
        message = await self._call.receive(self._message_type, self._limit)
        if message is None:
            raise StopAsyncIteration
        request, _ = decode_request(message)
        return request
