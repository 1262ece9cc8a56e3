from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.settings import ModelSettings


class Plain:
    """Notes the thread and the call; whatever it is asked for, it gives back."""

    ready = False

    def __init__(self):
        self.calls = []

    def _note(self, name):
        self.calls.append((name, threading.get_ident()))

    def load(self):
        self._note("load")
        return "loaded"

    def predict(self, payload):
        self._note("predict")
        return payload

    def unload(self):
        self._note("unload")


class Async(Plain):
    async def load(self):
        await asyncio.sleep(0)
        return Plain.load(self)

    async def predict(self, payload):
        await asyncio.sleep(0)
        return Plain.predict(self, payload)

    async def unload(self):
        await asyncio.sleep(0)
        Plain.unload(self)


@pytest.fixture
def executor():
    return InlineExecutor(ModelSettings(name="m", implementation="m.M"))


@pytest.mark.parametrize("kind", [Plain, Async])
async def test_everything_runs_on_the_event_loop(executor, kind):
    model = kind()
    assert (
        await executor.load(ModelSource(settings=executor.settings, make=lambda: model)) == "loaded"
    )
    assert await executor.predict("asked") == "asked"
    await executor.unload()
    here = threading.get_ident()
    assert model.calls == [("load", here), ("predict", here), ("unload", here)]


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize("method", ["load", "predict", "unload"])
async def test_exceptions_come_through(executor, kind, method):
    def fail(*_):
        raise ValueError(method)

    async def fail_later(*_):
        raise ValueError(method)

    async def run_all():
        await executor.load(ModelSource(settings=executor.settings, make=lambda: model))
        await executor.predict(None)
        await executor.unload()

    model = kind()
    setattr(model, method, fail if kind is Plain else fail_later)
    with pytest.raises(ValueError, match=method):
        await run_all()


async def test_a_model_that_cannot_be_made_fails_the_load(executor):
    def make():
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        await executor.load(ModelSource(settings=executor.settings, make=make))
    await executor.unload()


async def test_predict_before_load_is_refused(executor):
    with pytest.raises(RuntimeError, match="before it was loaded"):
        await executor.predict(None)


async def test_unload_before_load_does_nothing(executor):
    await executor.unload()


async def test_a_plain_generator_keeps_its_context_variables_from_step_to_step(executor):
    span = contextvars.ContextVar("span", default="none")

    class Streaming(Plain):
        def predict_stream(self, payloads):
            token = span.set("mine")
            for payload in payloads:
                yield payload, span.get()
            span.reset(token)
            yield "end", span.get()

    await executor.load(ModelSource(settings=executor.settings, make=Streaming))

    async def payloads():
        yield 1

    answers = [answer async for answer in executor.predict_stream(payloads())]
    assert answers == [(1, "mine"), ("end", "none")]
