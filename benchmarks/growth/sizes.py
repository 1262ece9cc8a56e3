"""Requests a second, and what each costs, against the size of a tensor."""

from __future__ import annotations

import asyncio
import urllib.request
from functools import partial
from typing import Any

import attrs
import numpy as np
from grpclib.client import Channel
from tensors import make_array

from growth.load import (
    Body,
    Effort,
    binary_body,
    grpc_body,
    in_turns,
    json_body,
    load_grpc,
    load_rest,
)
from growth.server import Server, serving
from mlserver_core.grpc.client import GrpcInferenceServiceStub, ModelInferRequest
from mlserver_core.wire.binary_client import LENGTH_HEADER, decode_binary_response

#: Fewer for large tensors: those that are under way at the end cost, and are not counted.
CONNECTIONS, OF_LARGE = 8, 2
LARGE = 100_000
BODIES = {"JSON": json_body, "binary REST": binary_body, "gRPC raw": grpc_body}
ELEMENTS = (4, 64, 1024, 16_384, 131_072, 1_000_000)


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each format and size; a model on the event loop doubles every element."""
    points = {}
    with serving({"m0": {"implementation": "served.Double"}}, cpu=effort.server_cpu) as server:
        for name, make_body in BODIES.items():
            for elements in effort.pick(ELEMENTS):
                body = make_body((1, elements))
                _check(server, body, elements, name)
                load = load_grpc if name == "gRPC raw" else load_rest
                connections = CONNECTIONS if elements < LARGE else OF_LARGE
                points[name, elements] = partial(load, server, body, connections, effort)
        found = in_turns(points, effort.rounds)
    return [
        {"format": name, "elements": elements, **attrs.asdict(load)}
        for (name, elements), load in found.items()
    ]


def _check(server: Server, body: Body, elements: int, name: str) -> None:
    """Asks once, and looks at the answer: the tools that follow do not."""
    if name == "gRPC raw":
        values = asyncio.run(_ask_grpc(server, body))
    else:
        asked = urllib.request.Request(server.infer_url("m0"), body.content, body.headers)
        with urllib.request.urlopen(asked) as answer:
            response = decode_binary_response(answer.read(), answer.headers.get(LENGTH_HEADER))
        values = np.asarray(response.outputs[0].data.root)
    if not np.allclose(values.ravel(), make_array((elements,)) * 2):
        raise RuntimeError(f"{name}: a wrong answer for {elements} elements")


async def _ask_grpc(server: Server, body: Body) -> np.ndarray:
    host, _, port = server.grpc.rpartition(":")
    async with Channel(host, int(port)) as channel:
        request = ModelInferRequest().parse(body.content[5:])
        answer = await GrpcInferenceServiceStub(channel).model_infer(request)
    return np.frombuffer(answer.raw_output_contents[0], np.float32)
