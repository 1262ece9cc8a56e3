"""The client's side of tensors in protobuf messages (Open Inference Protocol, "gRPC")."""

from __future__ import annotations

from typing import Any

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from mlserver_core.types.converter import show
from mlserver_core.wire.parameters import decode_parameters, encode_parameters, field_of
from mlserver_core.wire.protobuf import FIELDS, decode_tensor, fill_contents
from mlserver_core.wire.raw import encode_raw
from mlserver_core.wire.tensor_client import input_values


def encode_request(request: InferenceRequest, message: Any, *, raw: bool) -> None:
    """Fills a ModelInferRequest that has a model's name and nothing else.

    Args:
        request: what is asked.
        message: the message.
        raw: send raw contents. FP16 and BF16 inputs make every input raw.

    Raises:
        InvalidRequest: data does not fit its tensor, or a parameter is none that gRPC carries.
    """
    message.id = request.id or ""
    _put_parameters("", request.parameters, message.parameters)
    raw = raw or any(tensor.datatype not in FIELDS for tensor in request.inputs)
    for tensor in request.inputs:
        target = message.inputs.add()
        target.name = tensor.name
        target.datatype = tensor.datatype.value
        _put_shape(tensor.name, tensor.shape, target.shape)
        _put_parameters(f"tensor {tensor.name!r}: ", tensor.parameters, target.parameters)
        values = input_values(tensor)
        if raw:
            message.raw_input_contents.append(encode_raw(values))
        else:
            fill_contents(target.contents, FIELDS[tensor.datatype], values)
    for output in request.outputs or ():
        wanted = message.outputs.add()
        wanted.name = output.name
        _put_parameters(f"output {output.name!r}: ", output.parameters, wanted.parameters)


def decode_response(message: Any) -> InferenceResponse:
    """A ModelInferResponse as an inference response.

    Raises:
        InvalidRequest: names the tensor, what was expected and what came.
    """
    raw = list(message.raw_output_contents)
    if raw and len(raw) != len(message.outputs):
        raise InvalidRequest(
            f"raw_output_contents has {len(raw)} buffers for {len(message.outputs)} outputs; "
            "expected one per output"
        )
    return InferenceResponse(
        model_name=message.model_name,
        model_version=message.model_version or None,
        id=message.id or None,
        parameters=decode_parameters(message.parameters),
        outputs=[
            decode_tensor(tensor, raw[index] if raw else None, ResponseOutput)
            for index, tensor in enumerate(message.outputs)
        ],
    )


def _put_parameters(where: str, parameters: Parameters | None, target: Any) -> None:
    for name, value in (parameters.to_plain() if parameters else {}).items():
        if field_of(value) is None:
            raise InvalidRequest(
                f"{where}parameters.{name}: expected a string, a number or a boolean, which is "
                f"what gRPC carries, got {show(value)}"
            )
    encode_parameters(parameters, target)


def _put_shape(name: str, shape: list[int], target: Any) -> None:
    try:
        target.extend(shape)
    except ValueError:
        raise InvalidRequest(f"tensor {name!r}: a size in shape {shape} has over 64 bits") from None
