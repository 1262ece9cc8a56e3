"""Starts a worker.

``python -m mlserver_core.worker FRAMES HEARTBEAT``: the descriptors of two sockets that the server
has left open for this process.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # What python -m puts first is the folder of whoever started the server; INIT brings the path.
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    from mlserver_core.worker.process import run

    run(int(sys.argv[1]), int(sys.argv[2]))
