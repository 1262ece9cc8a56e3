"""The least that a question to another process can cost here: bytes there and back over a socket
pair, between two event loops that do nothing else. Run it with ``--help`` for its options.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time

from mlserver_core.engine import main_loop

#: Bytes of the frames of a 1x4 tensor, there and back, about.
QUESTION, ANSWER = 600, 300
#: What is read at once.
_MOST = 65536


async def serve(descriptor: int) -> None:
    """Answers until the other side closes its end."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    with socket.socket(fileno=descriptor) as sock:
        sock.setblocking(False)

        def read() -> None:
            if sock.recv(_MOST):
                sock.send(bytes(ANSWER))
            else:
                loop.remove_reader(sock)
                closed.set()

        loop.add_reader(sock, read)
        await closed.wait()


async def measure(calls: int) -> float:
    """The median of so many exchanges with a process that is started for it, in microseconds."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop, times = asyncio.get_running_loop(), []
    answered: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(ours, lambda: answered.set_result(ours.recv(_MOST)))
    command = [sys.executable, __file__, "--child", str(theirs.fileno())]
    with theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
        theirs.close()
        for number in range(calls + 1):
            answered = loop.create_future()
            start = time.perf_counter()
            ours.send(bytes(QUESTION))
            await answered
            if number:  # the first one waits for the process to start
                times.append(time.perf_counter() - start)
        loop.remove_reader(ours)
        ours.close()
        child.wait()
    return statistics.median(times) * 1e6


def main() -> None:
    """Runs the benchmark, or the process that answers it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000, help="exchanges (%(default)s)")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()

    async def show() -> None:
        print(f"bare echo: p50 {await measure(options.calls):.1f} us")

    main_loop.run(show() if options.child is None else serve(options.child))


if __name__ == "__main__":
    main()
