"""After a call that blocked the event loop, a model waits for those who come back."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from mlserver_core.engine.batching.batcher import Batcher
from mlserver_core.engine.batching.gathering import Gathering
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver_core.types.context import RequestContext


def make_batcher(sizes, **settings):
    """A batcher whose model blocks the loop, and notes how many rows it is asked."""

    async def block(request, context):
        tensor = request.inputs[0]
        sizes.append(tensor.shape[0])
        time.sleep(0.001)  # noqa: ASYNC251  # it is what is looked at
        data = np.asarray(tensor.data.root).reshape(-1)
        output = ResponseOutput(name="y", shape=[len(data)], datatype="FP64", data=data)
        return InferenceResponse(model_name="m", id=request.id, outputs=[output])

    values = {"max_batch_size": 32, "max_batch_time": 3600.0, **settings}
    made = ModelSettings(name="m", implementation="models.M", **values)
    return Batcher(infer=block, settings=made)


async def ask(batcher, value):
    data = np.array([value], float)
    tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": data}
    answer = await batcher.infer(InferenceRequest(id="r", inputs=[tensor]), RequestContext())
    assert answer.outputs[0].data.root.tolist() == [value]


async def repeat(batcher, value, turns, times):
    """A caller who needs so many turns of the loop to come back."""
    for _ in range(times):
        await ask(batcher, value)
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_callers_who_come_back_at_different_turns_are_asked_together():
    sizes = []
    batcher = make_batcher(sizes)
    await asyncio.gather(*(repeat(batcher, caller, caller, 20) for caller in range(8)))
    assert sum(sizes) == 160
    assert sizes[5:-8].count(8) >= len(sizes[5:-8]) - 1, sizes


async def test_a_caller_who_is_alone_never_waits():
    sizes = []
    batcher = make_batcher(sizes)
    await asyncio.wait_for(repeat(batcher, 1, 3, 20), 60)
    assert sizes == [1] * 20


async def test_those_who_are_left_are_answered_when_others_do_not_come_back():
    sizes = []
    batcher = make_batcher(sizes)
    await asyncio.gather(*(repeat(batcher, caller, 0, 10) for caller in range(8)))
    await asyncio.wait_for(asyncio.gather(*(repeat(batcher, each, 0, 10) for each in (1, 2))), 60)
    assert sizes[-5:] == [2] * 5


async def test_a_model_that_never_waits_for_others_does_not_here():
    sizes = []
    batcher = make_batcher(sizes, batch_when_idle=False, max_batch_size=2)
    await asyncio.gather(*(repeat(batcher, caller, 0, 4) for caller in range(2)))
    assert sizes == [2] * 4


async def test_a_caller_who_leaves_in_the_moment_is_not_asked_for():
    sizes = []
    batcher = make_batcher(sizes, max_batch_time=0.05)
    await asyncio.gather(*(repeat(batcher, caller, 0, 4) for caller in range(4)))
    leaving = asyncio.create_task(ask(batcher, 1))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    del sizes[:]
    await asyncio.wait_for(ask(batcher, 2), 60)
    assert sizes == [1]


@pytest.fixture
def moment():
    """A gathering whose count a test sets; how often it has ended."""
    waiting, ended = [0], []
    made = Gathering(
        size=4, seconds=0.01, count=lambda: waiting[0], on_end=lambda: ended.append(waiting[0])
    )
    return made, waiting, ended


async def until(condition):
    while not condition():  # noqa: ASYNC110  # turns of the loop are what is looked at
        await asyncio.sleep(0)


async def test_the_moment_is_over_once_nobody_comes_any_more(moment):
    made, waiting, ended = moment
    made.begin(3, 0.001)
    waiting[0] = 2
    assert made.wants_more(2)
    assert not made.wants_more(3)
    await asyncio.wait_for(until(lambda: ended), 60)
    assert ended == [2]
    assert not made.lasts


async def test_the_moment_goes_on_while_the_loop_brings_others(moment):
    made, waiting, ended = moment
    made.begin(4, 0.0)
    for count in (1, 2, 3):
        waiting[0] = count
        for _ in range(4):
            await asyncio.sleep(0)
        assert not ended
    waiting[0] = 4
    await asyncio.wait_for(until(lambda: ended), 60)


@pytest.mark.parametrize("callers", [0, 1])
async def test_there_is_no_moment_for_who_is_alone(moment, callers):
    made, _, _ = moment
    made.begin(callers, 1.0)
    assert not made.lasts


async def test_a_new_call_begins_the_moment_anew(moment):
    made, waiting, ended = moment
    made.begin(4, 3600.0)
    made.begin(2, 0.0)
    waiting[0] = 4
    await asyncio.wait_for(until(lambda: ended), 60)
    assert ended == [4]
