"""The inference service: messages to the engine and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.errors import Unsupported
from mlserver_core.grpc._generated import dataplane
from mlserver_core.grpc.calls import Answer, Calls, read_headers
from mlserver_core.grpc.errors import to_grpc_error
from mlserver_core.grpc.messages import Messages
from mlserver_core.types import MetadataTensor, Parameters
from mlserver_core.types.context import RequestContext
from mlserver_core.wire.protobuf import INT64, UINT64, decode_request, encode_response

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
            "RepositoryModelLoad": self.load_or_unload,
            "RepositoryModelUnload": self.load_or_unload,
        }
        control = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            **repository,
        }
        request_type = self.messages.get("inference.ModelInferRequest")
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

    async def server_live(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
        """The process answers."""
        return dataplane.ServerLiveResponse(live=True), _NOTHING

    async def server_ready(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
        """Can every expected model answer?"""
        return dataplane.ServerReadyResponse(ready=self.engine.ready()), _NOTHING

    async def model_ready(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
        """Can this model answer?"""
        ready = self.engine.model_ready(message.name, message.version)
        return dataplane.ModelReadyResponse(ready=ready), _NOTHING

    async def server_metadata(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
        """Name, version and extensions of the server."""
        facts = self.engine.server_metadata()
        reply = dataplane.ServerMetadataResponse(
            name=facts.name, version=facts.version, extensions=facts.extensions
        )
        return reply, _NOTHING

    async def model_metadata(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
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
        self, message: Any, stream: Stream[Any, Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Inference; raw contents are answered with raw contents."""
        request, raw = decode_request(message)
        context = RequestContext(transport="grpc", headers=read_headers(stream))
        response = await self.engine.infer(
            message.model_name, message.model_version, request, context
        )
        headers = None
        if response.parameters is not None:
            headers, response.parameters.headers = response.parameters.headers, None
        reply = self.messages.get("inference.ModelInferResponse")()
        encode_response(response, reply, raw=raw)
        return reply, headers or _NOTHING

    async def model_stream_infer(self, stream: Stream[Any, Any]) -> None:
        """Streams are not offered yet."""
        raise to_grpc_error(Unsupported("streaming inference is not offered yet"))

    async def repository_index(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
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

    async def load_or_unload(self, message: Any, stream: Any) -> tuple[Any, Mapping[str, Any]]:
        """Loading and unloading by a call are not offered yet."""
        raise Unsupported("loading and unloading of models by a call is not offered yet")


def _to_tensor(tensor: MetadataTensor) -> Any:
    return dataplane.ModelMetadataResponseTensorMetadata(
        name=tensor.name,
        datatype=tensor.datatype.value,
        shape=list(tensor.shape),
        parameters=_to_parameters(tensor.parameters),
    )


def _to_parameters(parameters: Parameters | None) -> dict[str, Any]:
    made = {}
    for name, value in (parameters.to_plain() if parameters else {}).items():
        if isinstance(value, bool):
            made[name] = dataplane.InferParameter(bool_param=value)
        elif isinstance(value, int) and value in INT64:
            made[name] = dataplane.InferParameter(int64_param=value)
        elif isinstance(value, int) and value in UINT64:
            made[name] = dataplane.InferParameter(uint64_param=value)
        elif isinstance(value, float):
            made[name] = dataplane.InferParameter(double_param=value)
        elif isinstance(value, str):
            made[name] = dataplane.InferParameter(string_param=value)
    return made
