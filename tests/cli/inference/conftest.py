"""Parts that the tests of ``mlserver infer`` share."""

from __future__ import annotations

import asyncio
import io

import attrs
import pytest

from mlserver_core.cli.inference.lines import read_line
from mlserver_core.cli.inference.options import Options
from mlserver_core.cli.inference.results import Results
from mlserver_core.types import InferenceResponse


@attrs.define(eq=False)
class FakeClient:
    """A client whose answers a test makes: ``answer`` gets each request."""

    answer: object
    requests: list = attrs.field(factory=list)
    headers: list = attrs.field(factory=list)

    async def infer(self, request, headers):
        self.requests.append(request)
        self.headers.append(headers)
        return await self.answer(request)

    async def close(self):
        pass


async def echo(request):
    """What an echoing model answers: each input as an output."""
    return InferenceResponse(
        model_name="m",
        id=request.id,
        outputs=[
            {"name": each.name, "shape": each.shape, "datatype": each.datatype, "data": each.data}
            for each in request.inputs
        ],
    )


def results(*, places=100, is_ordered=True, file=None):
    return Results(
        file=io.BytesIO() if file is None else file,
        is_ordered=is_ordered,
        places=asyncio.Semaphore(places),
        tell=lambda _: None,
    )


async def chunks_of(*chunks):
    """Lines of text as ``read_lines`` gives them."""
    index = 0
    for chunk in chunks:
        yield [read_line(index + offset, text.encode()) for offset, text in enumerate(chunk)]
        index += len(chunk)


@pytest.fixture
def parts():
    """The functions and classes above."""

    @attrs.frozen
    class Parts:
        client = FakeClient
        echo = staticmethod(echo)
        results = staticmethod(results)
        chunks_of = staticmethod(chunks_of)

        @staticmethod
        def options(**values):
            return Options(model_name="m", **values)

    return Parts()
