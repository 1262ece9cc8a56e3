"""The executor of a model in workers."""

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

    async def ask():
        tensor = RequestInput(name="x", shape=[4], datatype="FP32", data=data)
        context = RequestContext(deadline=time.monotonic() + 0.1)
        with pytest.raises(DeadlineExceeded):
            await engine.infer("m", None, InferenceRequest(inputs=[tensor]), context)

    await ask()
    del data, ask
    while known() is not None:  # not for the ten thousand seconds that the worker may go on
        await asyncio.sleep(0.01)
        gc.collect()
