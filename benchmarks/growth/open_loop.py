"""A client that sends at a rate, whatever becomes of what it sent before (an open loop).

Arrivals are random (a Poisson process) with a fixed seed. A request's time counts from when it was
to be sent, so that a client which is late hides nothing. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import Any

import aiohttp
import attrs
import numpy as np
import uvloop

BODY = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'
HEADERS = {"Content-Type": "application/json"}
#: How a server refuses: the model's queue is full, or no worker can take it.
REFUSALS = (429, 503)


@attrs.frozen
class Answer:
    """What became of a request.

    Attributes:
        status: of HTTP.
        seconds: from when it was to be sent until its answer was there.
        late: seconds by which it was sent too late.
    """

    status: int
    seconds: float
    late: float


async def ask(session: aiohttp.ClientSession, url: str, at: float) -> Answer:
    """Sends a request when its time has come, by the clock of the event loop."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at - loop.time())
    late = loop.time() - at
    async with session.post(url, data=BODY, headers=HEADERS) as response:
        await response.read()
    return Answer(response.status, loop.time() - at, late)


async def arrive(url: str, rate: float, seconds: float) -> list[Answer]:
    """Sends for so many seconds, and waits for all answers."""
    connector = aiohttp.TCPConnector(limit=0)  # none waits for another's connection
    async with aiohttp.ClientSession(connector=connector) as session:
        await ask(session, url, asyncio.get_running_loop().time())
        chance, start, at = random.Random(1), asyncio.get_running_loop().time() + 0.1, 0.0
        asking = []
        while (at := at + chance.expovariate(rate)) < seconds:
            asking.append(asyncio.ensure_future(ask(session, url, start + at)))
        return list(await asyncio.gather(*asking))


def summarize(answers: list[Answer], seconds: float, deadline: float) -> dict[str, Any]:
    """Counts and percentiles: times in seconds, all others a second."""
    good = [each.seconds for each in answers if each.status == 200]
    refused = [each.seconds for each in answers if each.status in REFUSALS]
    other = len(answers) - len(good) - len(refused)
    return {
        "arrived": len(answers) / seconds,
        "answered": len(good) / seconds,
        "refused": len(refused) / seconds,
        "failed": other / seconds,
        "goodput": sum(each <= deadline for each in good) / seconds,
        "p50": percentile(good, 50),
        "p99": percentile(good, 99),
        "refused p50": percentile(refused, 50),
        "refused p99": percentile(refused, 99),
        "sent late p99": percentile([each.late for each in answers], 99),
    }


def percentile(values: list[float], part: float) -> float | None:
    """None where there are no values."""
    return float(np.percentile(values, part)) if values else None


def main() -> None:
    """Runs the client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="what to ask")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10, help="for how long (%(default)s)")
    parser.add_argument(
        "--deadline", type=float, default=0.2, help="seconds that a client waits (%(default)s)"
    )
    options = parser.parse_args()
    answers = uvloop.run(arrive(options.url, options.rate, options.seconds))
    print(json.dumps(summarize(answers, options.seconds, options.deadline)))


if __name__ == "__main__":
    main()
