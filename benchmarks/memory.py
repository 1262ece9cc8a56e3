"""Does a server with two workers keep its memory and its descriptors, request after request?

Starts a server, asks it over REST with small and large tensors, with requests that it refuses and
requests whose client leaves, and looks at the processes between thousands, when nothing is under
way. Linux only. Run it with ``--help`` for its options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import attrs
import numpy as np

MODELS = Path(__file__).with_name("models.py")
LISTENING = re.compile(r"REST server listening on (http://\S+)$")
CLIENTS = 16
WORKERS = 2
#: Seconds after which a client leaves that asked for an answer which takes longer.
PATIENCE = 0.01
#: A process is flat when it would grow by less than this part of its memory in as many requests
#: again.
FLAT = 0.05


@attrs.frozen(kw_only=True)
class Process:
    """One process at one moment.

    Attributes:
        pid: its id.
        memory: what is resident of it, in kB, mapped shared memory included.
        descriptors: how many are open.
    """

    pid: int
    memory: int
    descriptors: int


def look_at(pid: int) -> Process:
    """What the system says of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    memory = int(status.split("VmRSS:")[1].split()[0])
    return Process(pid=pid, memory=memory, descriptors=len(os.listdir(f"/proc/{pid}/fd")))


def workers_of(pid: int) -> list[int]:
    """The processes that a process has started, oldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return sorted(map(int, children.split()))


@contextmanager
def serving() -> Iterator[tuple[int, str]]:
    """A started server with two workers: its process id and URL."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Sum", "Echo", "Wait"):
            model = Path(folder, name)
            model.mkdir()
            shutil.copy(MODELS, model / "models.py")
            settings = {"name": name, "implementation": f"models.{name}"}
            (model / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "mlserver_core.cli.main", "start", folder]
        command += ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        environ = {
            **os.environ,
            "MLSERVER_PARALLEL_WORKERS": str(WORKERS),
            "MLSERVER_DEBUG": "false",
        }
        with Path(folder, "log").open("w+", encoding="utf-8") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
            try:
                yield server.pid, _wait_for_url(server, Path(folder, "log"))
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait()


def _wait_for_url(server: subprocess.Popen[bytes], log: Path) -> str:
    while server.poll() is None:
        lines = log.read_text(encoding="utf-8").splitlines()
        if any("Started with" in line for line in lines):
            return next(found[1] for found in map(LISTENING.search, lines) if found)
    raise SystemExit(log.read_text(encoding="utf-8"))


def to_body(data: np.ndarray, name: str = "x") -> tuple[bytes, dict[str, str]]:
    """A request with one FP32 tensor as raw bytes, which the answer is to be too."""
    tensor = {
        "name": name,
        "shape": list(data.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": data.nbytes},
    }
    request = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    header = json.dumps(request).encode()
    return header + data.tobytes(), {"Inference-Header-Content-Length": str(len(header))}


@attrs.define
class Client:
    """Asks for everything that may leave something behind.

    Attributes:
        session: of HTTP.
        url: of the server.
        outcomes: how many answers there were of each status; 0 where the client left.
    """

    session: aiohttp.ClientSession
    url: str
    outcomes: dict[int, int] = attrs.field(factory=dict)

    def kinds(self) -> list[tuple[int, Callable[[], Awaitable[int]]]]:
        """Each way to ask, and how many of a hundred requests go that way."""
        small, middle = np.ones((1, 4), np.float32), np.ones((1, 2**14), np.float32)
        large, largest = np.ones((1, 2**17), np.float32), np.ones((1, 2**20), np.float32)
        return [
            (60, lambda: self.ask("Sum", small)),
            (10, lambda: self.ask("Echo", middle)),
            (8, lambda: self.ask("Echo", large)),
            (2, lambda: self.ask("Echo", largest)),
            (10, lambda: self.ask("Sum", small, name="wrong")),
            (10, self.leave),
        ]

    async def ask(self, model: str, data: np.ndarray, name: str = "x") -> int:
        """Asks and reads the answer; returns its status."""
        body, headers = to_body(data, name)
        url = f"{self.url}/v2/models/{model}/infer"
        async with self.session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def leave(self) -> int:
        """Asks for an answer that takes a second, and closes the connection before."""
        try:
            return await asyncio.wait_for(self.ask("Wait", np.ones((1, 1), np.float32)), PATIENCE)
        except asyncio.TimeoutError:
            return 0

    async def ask_many(self, count: int) -> None:
        """Asks so many times, ``CLIENTS`` at once, in an order that is the same each time."""
        kinds = [ask for share, ask in self.kinds() for _ in range(share)]
        order = np.random.default_rng(0).permutation(np.arange(count) % len(kinds))
        left = iter(order.tolist())

        async def work() -> None:
            for kind in left:
                status = await kinds[kind]()
                self.outcomes[status] = self.outcomes.get(status, 0) + 1

        await asyncio.gather(*(work() for _ in range(CLIENTS)))


async def watch(pid: int, url: str, count: int, every: int) -> list[list[Process]]:
    """Asks, and returns what the server and its workers were after every so many requests."""
    seen = []
    async with aiohttp.ClientSession() as session:
        client = Client(session, url)
        for _ in range(count // every):
            await client.ask_many(every)
            seen.append([look_at(each) for each in (pid, *workers_of(pid))])
            print(f"{len(seen) * every:>8}" + "".join(map(_cell, seen[-1])), flush=True)
        print("answers by status, 0 for a client that left:", dict(sorted(client.outcomes.items())))
    return seen


def _cell(process: Process) -> str:
    return f"{process.memory / 1024:>12.1f} MB {process.descriptors:>4} fds"


def growth(values: list[int]) -> float:
    """How much a value grows from one look to the next, once the first third is over."""
    rest = values[len(values) // 3 :]
    return float(np.polyfit(np.arange(len(rest)), rest, 1)[0]) if len(rest) > 1 else 0.0


def judge(seen: list[list[Process]], every: int) -> None:
    """Prints for each process whether it is flat."""
    for place, name in enumerate(["server", *(f"worker {n + 1}" for n in range(WORKERS))]):
        one = [look[place] for look in seen]
        memory = growth([each.memory for each in one])
        descriptors = growth([each.descriptors for each in one])
        flat = memory * len(one) < FLAT * one[-1].memory and descriptors * len(one) < 1
        print(
            f"{name}: {memory:+.1f} kB and {descriptors:+.3f} descriptors every {every} requests, "
            f"{'flat' if flat else 'NOT FLAT'}"
        )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=30_000, help="in all (%(default)s)")
    parser.add_argument("--every", type=int, default=1000, help="between looks (%(default)s)")
    options = parser.parse_args()
    names = ["server", *(f"worker {number + 1}" for number in range(WORKERS))]
    print(f"{'requests':>8}" + "".join(f"{name:>24}" for name in names))
    with serving() as (pid, url):
        judge(asyncio.run(watch(pid, url, options.requests, options.every)), options.every)


if __name__ == "__main__":
    main()
