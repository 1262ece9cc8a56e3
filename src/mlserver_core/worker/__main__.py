"""Starts a worker.

``python -m mlserver_core.worker FRAMES HEARTBEAT``: the descriptors of two sockets that the server
has left open for this process.
"""

from __future__ import annotations

import sys

from mlserver_core.worker.process import run


def main() -> None:
    """Runs the worker, and ends the process."""
    run(int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
