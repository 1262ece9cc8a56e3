from __future__ import annotations

import asyncio

import pytest

from mlserver_core.engine.tasks import Tasks
from mlserver_core.errors import Unavailable


async def test_finish_returns_what_the_work_returns_and_raises_what_it_raises():
    async def work():
        return 7

    async def failing():
        raise KeyError("x")

    tasks = Tasks()
    assert await tasks.finish(work()) == 7
    with pytest.raises(KeyError):
        await tasks.finish(failing())


async def test_work_goes_on_when_its_caller_is_cancelled():
    entered, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work():
        entered.set()
        await go.wait()
        done.set()
        raise ValueError("nobody is left to hear this")

    caller = asyncio.ensure_future(Tasks().finish(work()))
    await entered.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await done.wait()


async def test_work_that_is_attended_is_given_up_when_its_caller_is_cancelled():
    entered, given_up = asyncio.Event(), asyncio.Event()

    async def work():
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    caller = asyncio.ensure_future(Tasks().attend(work()))
    await entered.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert given_up.is_set()


@pytest.mark.parametrize("do", [Tasks.finish, Tasks.attend])
async def test_stop_gives_up_work_and_tells_who_waits_for_it(do):
    entered = asyncio.Event()

    async def work():
        entered.set()
        await asyncio.Event().wait()

    tasks = Tasks()
    caller = asyncio.ensure_future(do(tasks, work()))
    await entered.wait()
    await tasks.stop()
    with pytest.raises(Unavailable):
        await caller
    with pytest.raises(Unavailable):
        await do(tasks, work())


async def test_stop_waits_no_longer_than_it_is_told():
    entered, go = asyncio.Event(), asyncio.Event()

    async def work():
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            await go.wait()

    tasks = Tasks()
    task = tasks.start(work())
    await entered.wait()
    await tasks.stop(0.01)
    assert not task.done()
    go.set()
    await asyncio.wait([task])
