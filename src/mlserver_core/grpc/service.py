"""The inference service: messages to the engine and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import attrs
from grpclib.const import Cardinality, Handler

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.grpc._generated import dataplane
from mlserver_core.grpc.call import Call
from mlserver_core.grpc.calls import Answer, Calls, check_size, read_headers, to_metadata
from mlserver_core.grpc.messages import Messages
from mlserver_core.grpc.streamed_requests import StreamedRequests
from mlserver_core.types import InferenceResponse, MetadataTensor, Parameters
from mlserver_core.types.context import RequestContext
from mlserver_core.wire.parameters import to_choices
from mlserver_core.wire.protobuf import decode_request, encode_response
from mlserver_core.wire.request_message import RequestMessage, RequestReader

logger = logging.getLogger("mlserver.grpc")

NAME = "inference.GRPCInferenceService"
#: The service that older clients call for the repository; its messages have the same fields.
OLD_REPOSITORY = "inference.model_repository.ModelRepositoryService"

_NOTHING: Mapping[str, Any] = {}


@attrs.frozen(eq=False)
class InferenceService:
    """``inference.GRPCInferenceService`` and the older repository service.

    Attributes:
        engine: answers.
        messages: the classes of tensor messages.
        calls: how calls are taken.
    """

    engine: InferenceEngine
    messages: Messages
    calls: Calls

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path, as grpclib asks for them."""
        repository = {
            "RepositoryIndex": self.repository_index,
            "RepositoryModelLoad": self.load_model,
            "RepositoryModelUnload": self.unload_model,
        }
        control = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            **repository,
        }
        request_type = RequestReader(self.messages.get("inference.ModelInferRequest"))
        reply_type = self.messages.get("inference.ModelInferResponse")
        return {
            **self._control_handlers(NAME, control),
            **self._control_handlers(OLD_REPOSITORY, repository),
            f"/{NAME}/ModelInfer": self.calls.unary(self.model_infer, request_type, reply_type),
            f"/{NAME}/ModelStreamInfer": Handler(
                self.model_stream_infer, Cardinality.STREAM_STREAM, request_type, reply_type
            ),
        }

    def _control_handlers(self, service: str, calls: Mapping[str, Answer]) -> dict[str, Handler]:
        return {
            f"/{service}/{name}": self.calls.unary(
                answer,
                # upb: betterproto takes, or stumbles over, bytes that are no such message
                self.messages.get(f"inference.{name}Request"),
                getattr(dataplane, f"{name}Response"),
            )
            for name, answer in calls.items()
        }

    async def server_live(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """The process answers."""
        return dataplane.ServerLiveResponse(live=True), _NOTHING

    async def server_ready(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Can every expected model answer?"""
        return dataplane.ServerReadyResponse(ready=self.engine.ready()), _NOTHING

    async def model_ready(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Can this model answer?"""
        ready = self.engine.model_ready(message.name, message.version)
        return dataplane.ModelReadyResponse(ready=ready), _NOTHING

    async def server_metadata(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Name, version and extensions of the server."""
        facts = self.engine.server_metadata()
        reply = dataplane.ServerMetadataResponse(
            name=facts.name, version=facts.version, extensions=facts.extensions
        )
        return reply, _NOTHING

    async def model_metadata(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Versions and tensors of a model."""
        facts = await self.engine.metadata(message.name, message.version)
        reply = dataplane.ModelMetadataResponse(
            name=facts.name,
            versions=facts.versions or [],
            platform=facts.platform,
            inputs=[_to_tensor(tensor) for tensor in facts.inputs or []],
            outputs=[_to_tensor(tensor) for tensor in facts.outputs or []],
            parameters=_to_parameters(facts.parameters),
        )
        return reply, _NOTHING

    async def model_infer(
        self, received: RequestMessage, call: Call
    ) -> tuple[Any, Mapping[str, Any]]:
        """Inference; raw contents are answered with raw contents."""
        message = received.message
        limit = self.engine.max_message_size(message.model_name, message.model_version)
        check_size(call, limit, message.model_name)
        request, raw = decode_request(message, received.raw)
        response = await self.engine.infer(
            message.model_name, message.model_version, request, _context(call)
        )
        return self._reply(response, raw=raw)

    async def model_stream_infer(self, call: Call) -> None:
        """Inference both ways. The first message names the model, and is raw or typed for all.

        Messages are read as the model asks for them and replies wait for the client to take
        them, so each side holds the other up. The last reply's headers become the trailers.
        """
        message_type = RequestReader(self.messages.get("inference.ModelInferRequest"))
        requests = StreamedRequests(call, message_type, self.calls.limit, self.engine)
        first = await requests.begin()
        self.calls.count(call)
        responses = self.engine.infer_stream(
            first.model_name, first.model_version, requests, _context(call)
        )
        async with aclosing(responses):
            async for response in responses:
                reply, headers = self._reply(response, raw=requests.raw)
                call.trailers = to_metadata(headers)
                await call.send_message(reply)

    async def repository_index(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """The models and their states."""
        models = [
            dataplane.RepositoryIndexResponseModelIndex(
                name=item.name,
                version=item.version or "",
                state=item.state.value,
                reason=item.reason,
            )
            for item in await self.engine.index(ready=message.ready)
        ]
        return dataplane.RepositoryIndexResponse(models=models), _NOTHING

    async def load_model(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Loads a model, or loads it anew."""
        _ignore_parameters(message)
        await self.engine.load_model(message.model_name)
        return dataplane.RepositoryModelLoadResponse(), _NOTHING

    async def unload_model(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """Unloads a model."""
        _ignore_parameters(message)
        await self.engine.unload_model(message.model_name)
        return dataplane.RepositoryModelUnloadResponse(), _NOTHING

    def _reply(self, response: InferenceResponse, *, raw: bool) -> tuple[Any, Mapping[str, Any]]:
        """The message of a response, and the headers that it has no place for."""
        headers = None
        if response.parameters is not None:
            headers, response.parameters.headers = response.parameters.headers, None
        reply = self.messages.get("inference.ModelInferResponse")()
        encode_response(response, reply, raw=raw)
        return reply, headers or _NOTHING


def _context(call: Call) -> RequestContext:
    return RequestContext(transport="grpc", headers=read_headers(call), deadline=call.expires)


def _ignore_parameters(message: Any) -> None:
    if message.parameters:
        names = ", ".join(sorted(message.parameters))
        logger.debug("Load and unload take no parameters; ignored are %s", names)


def _to_tensor(tensor: MetadataTensor) -> Any:
    return dataplane.ModelMetadataResponseTensorMetadata(
        name=tensor.name,
        datatype=tensor.datatype.value,
        shape=list(tensor.shape),
        parameters=_to_parameters(tensor.parameters),
    )


def _to_parameters(parameters: Parameters | None) -> dict[str, Any]:
    return {
        name: dataplane.InferParameter(**({} if field is None else {field: value}))
        for name, field, value in to_choices(parameters)
    }
