"""Asks a gRPC server, as a process of its own, and prints what it saw as JSON.

Arguments: port, file with the message, calls in flight, seconds, the number that is right.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))
from side_by_side.loads import OPTIONS
from side_by_side.requests import read_answer


class Load:
    """Calls on one connection, each followed by the next when its answer is there."""

    def __init__(self, port: int, body: bytes, seconds: float, expected: float) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS)
        self.call = self.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        self.body = body
        self.expected = expected
        self.deadline = time.perf_counter() + seconds
        self.taken: list[float] = []
        self.wrong = 0

    def repeat(self) -> None:
        """One line of calls, until the time is up."""
        while (begun := time.perf_counter()) < self.deadline:
            try:
                answer = read_answer(self.call(self.body, timeout=60), "grpc")
                self.wrong += not math.isclose(answer, self.expected, rel_tol=1e-4)
            except (grpc.RpcError, ValueError):
                self.wrong += 1
            self.taken.append(time.perf_counter() - begun)


def run(port: int, path: str, in_flight: int, seconds: float, expected: float) -> dict[str, Any]:
    """What so many calls in flight see in so many seconds."""
    load = Load(port, Path(path).read_bytes(), seconds, expected)
    begun = time.perf_counter()
    lines = [threading.Thread(target=load.repeat) for _ in range(in_flight)]
    for line in lines:
        line.start()
    for line in lines:
        line.join()
    elapsed = time.perf_counter() - begun
    p50, p99 = np.percentile(load.taken, [50, 99])
    rate = len(load.taken) / elapsed
    return {"rate": rate, "p50": float(p50), "p99": float(p99), "wrong": load.wrong}


if __name__ == "__main__":
    _, port, path, in_flight, seconds, expected = sys.argv
    found = run(int(port), path, int(in_flight), float(seconds), float(expected))
    print(orjson.dumps(found).decode())
