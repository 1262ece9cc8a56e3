"""MLModel, the class that runtimes extend."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

from mlserver_core.codecs import Codecs, InputCodec, RequestCodec
from mlserver_core.codecs.plugin import mlserver_register_codecs
from mlserver_core.errors import Unsupported
from mlserver_core.settings import ModelSettings
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
)


class MLModel:
    """A model that the server loads and asks for inference.

    Override ``load`` and ``predict``; either may be ``async def`` or plain ``def``. A plain
    ``predict`` runs in a thread of the model's own, off the event loop.

    Attributes:
        ready: can it answer? The server sets it after ``load``; a runtime may lower it.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._codecs: Codecs | None = None
        self._index_tensors()
        self.ready = False

    async def load(self) -> bool:
        """Loads what ``predict`` needs. It fails by raising or by returning False."""
        return True

    async def unload(self) -> bool:
        """Frees what ``load`` took. The model answers no requests by then."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:  # noqa: ARG002
        """Answers one request.

        Args:
            payload: its tensors hold arrays of their datatype, checked against their shapes.
                ``payload.parameters.headers`` has the HTTP headers or gRPC metadata.

        Returns:
            The outputs. ``parameters.headers`` goes out as headers; an absent
            ``model_name`` and the ``id`` are filled in by the server.

        Raises:
            MLServerError: its text and status reach the client. Any other exception is a 500
                with its class and text.
        """
        raise Unsupported(f"{type(self).__name__} has no predict()")

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        """Answers a stream of requests with a stream of responses.

        Override it as an ``async def`` generator. A plain generator works as well: it runs in
        the model's thread and is called once for each request, with an iterator over that one.
        This one answers each request by ``predict``.

        Args:
            payloads: the requests, as ``predict`` gets them: one over REST, any number over
                gRPC. Those that are not read stay with the client.

        Yields:
            Responses, as ``predict`` returns them; each goes out at once. Over REST the headers
            of the first one are sent, over gRPC those of the last.

        Raises:
            MLServerError: as ``predict``; what was answered before has reached the client.
        """
        async for payload in payloads:
            answer = self.predict(payload)
            yield await answer if inspect.isawaitable(answer) else answer

    async def metadata(self) -> MetadataModelResponse:
        """What ``GET /v2/models/NAME`` answers: by default what the settings declare."""
        parameters = self._settings.parameters
        content_type = parameters.content_type if parameters else None
        return MetadataModelResponse(
            name=self.name,
            platform=self._settings.platform,
            versions=list(self._settings.versions),
            inputs=self.inputs,
            outputs=self.outputs,
            parameters=Parameters(content_type=content_type) if parameters else None,
        )

    @property
    def name(self) -> str:
        """The name in URLs."""
        return self._settings.name

    @property
    def version(self) -> str | None:
        """The version served, or None."""
        return self._settings.version

    @property
    def settings(self) -> ModelSettings:
        """The model's settings."""
        return self._settings

    @property
    def inputs(self) -> list[MetadataTensor]:
        """The declared inputs; assign a list in ``load`` to declare what the artifact says."""
        return self._settings.inputs

    @inputs.setter
    def inputs(self, value: list[MetadataTensor]) -> None:
        self._settings.inputs = value
        self._index_tensors()

    @property
    def outputs(self) -> list[MetadataTensor]:
        """The declared outputs; may be assigned as ``inputs``."""
        return self._settings.outputs

    @outputs.setter
    def outputs(self, value: list[MetadataTensor]) -> None:
        self._settings.outputs = value
        self._index_tensors()

    def decode(
        self, request_input: RequestInput, default_codec: type[InputCodec] | None = None
    ) -> Any:
        """The Python value of an input tensor.

        The content type is the input's own, else the one its metadata declares, else that of
        ``default_codec``; without any of them the ``TensorData`` itself is returned.

        Raises:
            InvalidRequest: an unknown content type.
            CodecError: the tensor cannot be decoded.
        """
        codec = self._input_codec(request_input) or default_codec
        return codec.decode_input(request_input) if codec else request_input.data

    def decode_request(
        self,
        inference_request: InferenceRequest,
        default_codec: type[RequestCodec] | None = None,
    ) -> Any:
        """The Python value of a whole request.

        The content type is the request's own, else ``parameters.content_type`` of the model's
        settings, else that of ``default_codec``; without any of them the request itself is
        returned. Raises as ``decode``.
        """
        codec = self._request_codec(inference_request) or default_codec
        return codec.decode_request(inference_request) if codec else inference_request

    def encode(
        self,
        payload: Any,
        request_output: RequestOutput,
        default_codec: type[InputCodec] | None = None,
    ) -> ResponseOutput:
        """An output tensor named as ``request_output``.

        The content type is the requested one, else the one the output's metadata declares,
        else that of the first codec that can encode ``payload``, else ``default_codec``.

        Raises:
            InvalidRequest: an unknown content type.
            CodecError: no codec can encode ``payload``.
        """
        declared = self._outputs_by_name.get(request_output.name)
        codec = self._named_input_codec(
            f"output {request_output.name!r}", request_output.parameters, declared
        )
        if codec is None:
            codec = self.codecs.input_codec_for(payload, default_codec)
        return codec.encode_output(request_output.name, payload)

    def encode_response(
        self, payload: Any, default_codec: type[RequestCodec] | None = None
    ) -> InferenceResponse:
        """A response that holds ``payload``, made by the first request codec that can encode
        it, else by ``default_codec``.

        Raises:
            CodecError: no codec can encode ``payload``.
        """
        codec = self.codecs.request_codec_for(payload, default_codec)
        return codec.encode_response(self.name, payload, self.version)

    @property
    def codecs(self) -> Codecs:
        """The server's codecs; the built-in ones where the model was made without a server."""
        if self._codecs is None:
            self._codecs = Codecs()
            mlserver_register_codecs(self._codecs.inputs, self._codecs.requests)
        return self._codecs

    @codecs.setter
    def codecs(self, value: Codecs) -> None:
        self._codecs = value

    def _index_tensors(self) -> None:
        self._inputs_by_name = {tensor.name: tensor for tensor in self._settings.inputs}
        self._outputs_by_name = {tensor.name: tensor for tensor in self._settings.outputs}

    def _input_codec(self, request_input: RequestInput) -> type[InputCodec] | None:
        declared = self._inputs_by_name.get(request_input.name)
        return self._named_input_codec(
            f"input {request_input.name!r}", request_input.parameters, declared
        )

    def _named_input_codec(
        self, where: str, parameters: Parameters | None, declared: MetadataTensor | None
    ) -> type[InputCodec] | None:
        for each in (parameters, declared.parameters if declared else None):
            if each is not None and each.content_type:
                return self.codecs.input_codec(each.content_type, where)
        return None

    def _request_codec(self, request: InferenceRequest) -> type[RequestCodec] | None:
        for each in (request.parameters, self._settings.parameters):
            if each is not None and each.content_type:
                return self.codecs.request_codec(each.content_type, "the request")
        return None
