"""The least that answers the sum over REST: an aiohttp handler, orjson and numpy, no checks.

What a server does beyond that is what it costs. Argument: HTTP port.
"""

import sys

import numpy as np
import orjson
import uvloop
from aiohttp import web


async def infer(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    [tensor] = body["inputs"]
    array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    output = {"name": "sum", "shape": [1], "datatype": "FP32", "data": [float(array.sum())]}
    answer = {"model_name": "sum", "outputs": [output]}
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def ready(request: web.Request) -> web.Response:
    return web.Response()


if __name__ == "__main__":
    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v2/models/sum/infer", infer)
    app.router.add_get("/v2/health/ready", ready)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
