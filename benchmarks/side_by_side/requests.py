"""The requests, and the numbers that are right for them."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import orjson

from mlserver_core.grpc.messages import load_messages

#: The flower that the classifier puts into class 2.
_IRIS = np.array([[6.7, 3.0, 5.2, 2.3]], np.float32)


@attrs.frozen(kw_only=True)
class Request:
    """One request, and its answer.

    Attributes:
        model: who is asked.
        body: of HTTP, or the message of gRPC.
        headers: of HTTP.
        expected: the one number of the answer.
    """

    model: str
    body: bytes
    headers: dict[str, str]
    expected: float


def sum_request(shape: tuple[int, int], kind: str) -> Request:
    """The sum of numbers below one, of six digits each as one finds them in JSON.

    Args:
        shape: of the tensor, FP32.
        kind: ``rest`` for JSON, ``binary`` for raw bytes over REST, ``grpc`` for raw contents.
    """
    numbers = np.random.default_rng(0).random(shape).round(6)
    array = numbers.astype(np.float32)
    expected = float(array.sum(dtype=np.float64))
    if kind == "grpc":
        return _make("sum", _message("sum", array), {}, expected)
    if kind == "binary":
        body, length = _binary(array)
        header = {"Inference-Header-Content-Length": str(length)}
        return _make("sum", body, {"Content-Type": "application/octet-stream", **header}, expected)
    return _json("sum", numbers, "FP32", expected)


def iris_request() -> Request:
    """One flower of class 2."""
    return _json("iris", _IRIS.astype(np.float64).round(1), "FP32", 2.0)


def slow_request(model: str) -> Request:
    """A row of four for a model that batches."""
    return _json(model, np.array([[1.0, 2.0, 3.0, 4.0]]), "FP32", 10.0)


def read_answer(body: bytes, kind: str) -> float:
    """The one number of an answer.

    Raises:
        ValueError: it is no answer with one number.
    """
    if kind == "grpc":
        return _read_message(body)
    try:
        [output] = orjson.loads(body)["outputs"]
        return float(np.array(output["data"]).reshape(()))
    except (KeyError, ValueError):
        raise ValueError(f"not an answer with one number: {body[:300]!r}") from None


def _make(model: str, body: bytes, headers: dict[str, str], expected: float) -> Request:
    return Request(model=model, body=body, headers=headers, expected=expected)


def _json(model: str, numbers: np.ndarray, datatype: str, expected: float) -> Request:
    tensor: dict[str, Any] = {"name": "x", "shape": numbers.shape, "datatype": datatype}
    tensor["data"] = numbers.reshape(-1).tolist()
    body = orjson.dumps({"inputs": [tensor]})
    return _make(model, body, {"Content-Type": "application/json"}, expected)


def _binary(array: np.ndarray) -> tuple[bytes, int]:
    raw = array.tobytes()
    tensor = {"name": "x", "shape": array.shape, "datatype": "FP32"}
    head = orjson.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]})
    return head + raw, len(head)


def _message(model: str, array: np.ndarray) -> bytes:
    message = load_messages().get("inference.ModelInferRequest")()
    message.model_name = model
    tensor = message.inputs.add()
    tensor.name, tensor.datatype = "x", "FP32"
    tensor.shape.extend(array.shape)
    message.raw_input_contents.append(array.tobytes())
    data: bytes = message.SerializeToString()
    return data


def _read_message(body: bytes) -> float:
    message = load_messages().get("inference.ModelInferResponse").FromString(body)
    if message.raw_output_contents:
        return float(np.frombuffer(message.raw_output_contents[0], np.float32).reshape(()))
    [output] = message.outputs
    [number] = output.contents.fp32_contents
    return float(number)
