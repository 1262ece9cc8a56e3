"""``decode_args``: a ``predict`` that takes and returns Python values."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from mlserver_core.codecs.content_types import content_type_of, decode_inference_request
from mlserver_core.codecs.errors import OutputNotFound
from mlserver_core.codecs.hints import covers
from mlserver_core.codecs.signature import Returned, Signature, not_found
from mlserver_core.errors import CodecError, InvalidRequest, RuntimeFailed
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
)

_ATTRIBUTE = "_mlserver_decode_args"
_SIGNATURES = "_mlserver_signatures"


def decode_args(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates ``predict``, ``async def`` or ``def``, so that its arguments are the request's
    inputs by name, decoded to the types of their annotations, and its answer is encoded.

    ``docs/codecs/decode_args.md`` says what may be annotated. Codecs are looked up once per model,
    by ``prepare`` or the first request, among those of the model and its server.

    Raises:
        TypeError: ``predict`` is a generator; ``predict_stream`` has to decode by itself.
    """
    if inspect.isasyncgenfunction(predict) or inspect.isgeneratorfunction(predict):
        raise TypeError(
            f"decode_args does not apply to {predict.__qualname__}, a stream; "
            "use self.decode_request(payload) in it"
        )
    call: Callable[..., Any]
    if inspect.iscoroutinefunction(predict):

        @functools.wraps(predict)
        async def call(self: Any, payload: InferenceRequest) -> InferenceResponse:
            signature = _signature(self, predict)
            values = _decode(signature, payload)
            return _encode(self, signature, payload, await predict(self, **values))

    else:

        @functools.wraps(predict)
        def call(self: Any, payload: InferenceRequest) -> InferenceResponse:
            signature = _signature(self, predict)
            values = _decode(signature, payload)
            return _encode(self, signature, payload, predict(self, **values))

    setattr(call, _ATTRIBUTE, predict)
    return call


def prepare(model: Any) -> None:
    """Looks up the codecs of a model's decorated ``predict``, so that a mistake in its
    annotations shows when the model is loaded. Nothing where it is not decorated.

    Raises:
        RuntimeFailed: names the argument and what is wrong with it.
    """
    predict = getattr(type(model).predict, _ATTRIBUTE, None)
    if predict is not None:
        _signature(model, predict)


def _signature(model: Any, predict: Callable[..., Any]) -> Signature:
    known: dict[Any, Signature] = vars(model).setdefault(_SIGNATURES, {})
    found = known.get(predict)
    if found is None or found.codecs is not model.codecs:
        found = known[predict] = Signature.read(predict, model.codecs)
    return found


def _decode(signature: Signature, request: InferenceRequest) -> dict[str, Any]:
    values: dict[str, Any] = {}
    left: list[RequestInput] = []
    for tensor in request.inputs:
        argument = signature.arguments.get(tensor.name)
        # What the transport says of a caller is nothing that the body may say otherwise.
        if argument is None or argument.codec is None or argument.of_the_request:
            left.append(tensor)
        elif tensor.name in values:
            raise InvalidRequest(f"input {tensor.name!r} was sent twice")
        else:
            values[tensor.name] = argument.decode(tensor, signature.codecs)
    if left:
        _decode_left(signature, request, left, values)
    for argument in signature.arguments.values():
        if argument.of_the_request and argument.name not in values:
            values[argument.name] = _of_the_request(request, argument.name, argument.kind)
    signature.fill_missing(values, [tensor.name for tensor in request.inputs])
    return values


def _decode_left(
    signature: Signature,
    request: InferenceRequest,
    left: list[RequestInput],
    values: dict[str, Any],
) -> None:
    """Gives what no argument takes by name to the one that takes whole requests."""
    argument = signature.whole()
    if argument is None:
        raise not_found([tensor.name for tensor in left], list(signature.arguments))
    codec, codecs = argument.whole, signature.codecs
    content_type = content_type_of(request)
    if content_type is not None:
        asked = codecs.request_codec(content_type, "the request")
        if asked is not None and covers(asked.TypeHint, argument.kind):
            codec = asked
    values[argument.name] = decode_inference_request(
        InferenceRequest(inputs=left), default_codec=codec, codecs=codecs
    )


def _of_the_request(request: InferenceRequest, name: str, kind: Any) -> Any:
    parameters = request.parameters or Parameters()
    if name == "headers":
        return dict(parameters.headers or {})
    if kind is Parameters:
        return parameters
    return {key: value for key, value in parameters.to_plain().items() if key != "headers"}


def _encode(
    model: Any, signature: Signature, request: InferenceRequest, answer: Any
) -> InferenceResponse:
    answers = answer if isinstance(answer, tuple) else (answer,)
    returns = signature.returns
    if returns is not None and len(returns) != len(answers):
        raise OutputNotFound(
            f"{signature.function} returned {len(answers)} values, its annotation says "
            f"{len(returns)}"
        )
    wanted = {each.name: content_type_of(each) for each in request.outputs or ()}
    response = InferenceResponse(model_name=model.name, model_version=model.version, outputs=[])
    for position, value in enumerate(answers):
        name = f"output-{position}"
        content_type = wanted.get(name)
        returned = _find_returned(signature, position, value)
        if content_type is not None:
            response.outputs.append(_encode_as(signature, name, value, content_type))
            continue
        try:
            made, parameters = returned.encode(name, value)
        except CodecError as error:
            raise _cannot_send(signature, error) from None
        response.outputs += made
        if len(answers) == 1:
            response.parameters = parameters
    return response


def _find_returned(signature: Signature, position: int, value: Any) -> Returned:
    if signature.returns is None:
        try:
            return Returned.of_value(value, signature.codecs)
        except CodecError as error:
            raise _cannot_send(signature, error) from None
    returned = signature.returns[position]
    if not returned.fits(value):
        raise OutputNotFound(
            f"{signature.function} returned a {type(value).__name__} as output-{position}, its "
            f"annotation says {returned.hint}"
        )
    return returned


def _cannot_send(signature: Signature, error: CodecError) -> RuntimeFailed:
    return RuntimeFailed(f"{signature.function} returned what cannot be sent: {error}")


def _encode_as(signature: Signature, name: str, value: Any, content_type: str) -> ResponseOutput:
    """An output in the content type that the client asked for."""
    codec = signature.codecs.input_codec(content_type, f"output {name!r}")
    if codec is None:
        raise InvalidRequest(
            f"output {name!r} cannot have the content type {content_type!r}, which is one of "
            "whole requests"
        )
    return codec.encode_output(name, [value] if isinstance(value, (str, dict)) else value)
