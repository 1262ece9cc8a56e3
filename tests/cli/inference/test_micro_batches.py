"""Gathering lines that may go in one call."""

from __future__ import annotations

import asyncio
import json

import pytest

from mlserver_core.cli.inference.micro_batches import micro_batches, to_calls


def request(width=1, datatype="FP64"):
    tensor = {"name": "x", "shape": [1, width], "datatype": datatype, "data": [0] * width}
    return json.dumps({"inputs": [tensor]})


async def admit(line):
    return line.request is not None


async def gather(chunks, size):
    batches = [batch async for batch in micro_batches(chunks, size, admit)]
    return [[line.index for line in batch] for batch in batches]


@pytest.mark.parametrize(
    ("size", "batches"),
    [(1, [[0], [1], [2], [3], [4]]), (2, [[0, 1], [2, 3], [4]]), (9, [[0, 1, 2, 3, 4]])],
)
async def test_up_to_that_many_lines_come_together(parts, size, batches):
    chunks = parts.chunks_of([request()] * 3, [request()] * 2)
    assert await gather(chunks, size) == batches


async def test_lines_that_are_not_admitted_are_left_out(parts):
    chunks = parts.chunks_of([request(), "nojson", "", request(), request()])
    assert await gather(chunks, 2) == [[0], [3, 4]]


async def test_lines_do_not_wait_for_others_that_do_not_come(parts):
    more = asyncio.Event()

    async def chunks():
        async for lines in parts.chunks_of([request()], [request()]):
            yield lines
            await more.wait()

    batches = micro_batches(chunks(), 9, admit)
    assert [line.index for line in await anext(batches)] == [0]
    more.set()
    assert [[line.index for line in batch] async for batch in batches] == [[1]]


async def lines_of(parts, *texts):
    return [line async for lines in parts.chunks_of(texts) for line in lines]


async def test_lines_that_agree_make_one_call_and_others_go_alone(parts):
    lines = await lines_of(
        parts, request(1), request(2), request(1), '{"inputs": []}', request(3), request(2)
    )
    calls = to_calls(lines)
    assert [[line.index for line in call.lines] for call in calls] == [[0, 2], [1, 5], [3], [4]]
    assert [len(call.parts) for call in calls[:2]] == [2, 2]


async def test_a_single_line_is_not_looked_at(parts):
    (call,) = to_calls(await lines_of(parts, request()))
    assert (len(call.lines), call.parts) == (1, [])
