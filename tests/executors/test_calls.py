from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

from mlserver_core.executors.calls import Call

variable = contextvars.ContextVar("of_the_test")


def call_of(function, *arguments):
    return Call(asyncio.get_running_loop().create_future(), function, arguments)


def fail(error):
    raise error


async def test_call_runs_in_the_context_it_was_made_in():
    variable.set("made")
    call = call_of(variable.get)
    variable.set("later")
    call.finish(*call.run())
    assert await call.answer == "made"


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(2), KeyboardInterrupt()])
async def test_whatever_is_raised_is_the_answer(error):
    call = call_of(fail, error)
    call.finish(*call.run())
    assert call.answer.exception() is error


async def test_stop_iteration_is_an_error_with_its_cause():
    error = StopIteration(1)
    call = call_of(fail, error)
    call.finish(*call.run())
    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        await call.answer
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("make", [ValueError, StopIteration])
async def test_error_keeps_its_call_alive_no_longer_than_it_is_held(make):
    class Payload:
        def fail(self):
            raise make("x")

    payload = Payload()
    alive, call = weakref.ref(payload), call_of(payload.fail)
    del payload
    gc.disable()
    try:
        call.finish(*call.run())
        call.answer.exception()
        del call
        assert alive() is None
    finally:
        gc.enable()


async def test_call_whose_caller_has_left_ends_quietly():
    call = call_of(fail, ValueError("for nobody"))
    call.answer.cancel()
    end = call.end()
    assert not end.done()
    call.finish(*call.run())
    assert end.done()
    assert call.end() is end


async def test_withdrawn_call_is_over_with_the_error_given_or_cancelled():
    loop = asyncio.get_running_loop()
    calls = [Call(loop.create_future(), len, ("a",), lambda _: True) for _ in range(2)]
    calls[0].withdraw()
    calls[1].withdraw(ValueError("late"))
    assert all(call.end().done() for call in calls)
    assert calls[0].answer.cancelled()
    with pytest.raises(ValueError, match="late"):
        await calls[1].answer


async def test_call_that_has_begun_is_not_withdrawn():
    call = call_of(len, "a")
    call.withdraw()
    assert not call.answer.done()
    assert not call.end().done()
