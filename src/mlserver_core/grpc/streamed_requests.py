"""The requests of one ModelStreamInfer call."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.call import Call
from mlserver_core.grpc.calls import check_size
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
    _engine: InferenceEngine
    raw: bool = attrs.field(default=False, init=False)
    _model: str = attrs.field(default="", init=False)
    _model_limit: int | None = attrs.field(default=None, init=False)
    _first: InferenceRequest | None = attrs.field(default=None, init=False)

    async def begin(self) -> Any:
        """Reads the first message and returns it.

        Raises:
            InvalidRequest: there is none, or it is no request.
            TooLarge: it is larger than its model takes.
        """
        received = await self._call.receive(self._message_type, self._limit)
        if received is None:
            raise InvalidRequest("the stream ended before a request came")
        message = received.message
        self._model = message.model_name
        self._model_limit = self._engine.max_message_size(self._model, message.model_version)
        check_size(self._call, self._model_limit, self._model)
        self._first, self.raw = decode_request(message, received.raw)
        return message

    def __aiter__(self) -> StreamedRequests:
        return self

    async def __anext__(self) -> InferenceRequest:
        if self._first is not None:
            request, self._first = self._first, None
            return request
        received = await self._call.receive(self._message_type, self._limit)
        if received is None:
            raise StopAsyncIteration
        check_size(self._call, self._model_limit, self._model)
        request, _ = decode_request(received.message, received.raw)
        return request
