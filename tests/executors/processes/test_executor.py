"""The executor of a model in workers."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import numpy as np
import pytest

from mlserver_core.errors import DeadlineExceeded
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext

WAITS = """
import asyncio
from mlserver_core import MLModel

class Model(MLModel):
    async def predict(self, request):
        await asyncio.Event().wait()
"""


async def test_a_call_that_took_too_long_is_let_go_of_when_the_worker_is(start, folder_model):
    model = folder_model("m", WAITS, parallel_workers=1, request_timeout=10_000)
    engine = await start(model)
    data = np.ones(4, np.float32)
    known = weakref.ref(data)

    async def ask(data):
        tensor = RequestInput(name="x", shape=[4], datatype="FP32", data=data)
        context = RequestContext(deadline=time.monotonic() + 0.1)
        with pytest.raises(DeadlineExceeded):
            await engine.infer("m", None, InferenceRequest(inputs=[tensor]), context)

    await ask(data)
    del data
    while known() is not None:  # not for the ten thousand seconds that the worker may go on
        await asyncio.sleep(0.01)
        gc.collect()


HANGS = """
import threading
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    def predict(self, request):
        if request.inputs[0].data[0] < 0:
            Path(__file__).with_name("began").touch()
            threading.Event().wait()
        return InferenceResponse(outputs=[])
"""


async def until(fact):
    while not fact():  # noqa: ASYNC110  # other processes make it true
        await asyncio.sleep(0.01)


async def test_code_that_hangs_ends_its_worker_also_where_its_caller_has_left(
    start, ask, folder_model, tmp_path, caplog
):
    engine = await start(folder_model("m", HANGS, parallel_workers=1, request_timeout=1))
    asking = asyncio.ensure_future(ask(engine, data=(-1.0,), id="left"))
    await until((tmp_path / "m" / "began").exists)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: "is still at request left" in caplog.text)
    await until(engine.ready)
    await ask(engine)
