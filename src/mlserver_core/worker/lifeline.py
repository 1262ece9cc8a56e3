"""Ends this process when its server is gone, and keeps what is meant for the server from it."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

import attrs

from mlserver_core.engine import main_loop

#: Seconds between two beats.
BEAT = 0.5
#: Of Linux, <sys/prctl.h>: the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1
#: What a terminal or a service manager sends to the whole group; the server says when to stop.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


@attrs.define(eq=False)
class Lifeline:
    """Tells the server twice a second that this process runs, and ends it when nobody listens.

    It has a thread of its own: a model that holds up the event loop holds up no beat.

    Attributes:
        heartbeat: the socket for that.
    """

    heartbeat: socket.socket
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def say(self, body: Mapping[str, Any]) -> None:
        """Sends a log record at once, also while the event loop is held up; one that does not fit
        any more is dropped.

        Args:
            body: what ``executors.processes.logs.to_body`` made of it.
        """
        with contextlib.suppress(OSError):
            self._send(json.dumps(body).encode())

    def start(self) -> None:
        """Begins; there is no end but that of the process."""
        self.heartbeat.settimeout(BEAT)
        threading.Thread(target=self._beat, name="mlserver-lifeline", daemon=True).start()

    def _beat(self) -> None:
        while True:
            try:
                self._send(b"")
            except BlockingIOError:
                pass
            except OSError:
                break
            try:
                if not self.heartbeat.recv(64):
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        os._exit(1)

    def _send(self, line: bytes) -> None:
        """Sends a line; an empty one is a beat. Never waits: a server that is busy reads later."""
        with self._lock:
            self.heartbeat.send(line + b"\n", socket.MSG_DONTWAIT)


def guard(*sockets: socket.socket) -> None:
    """Makes this process one that lives and ends with its server.

    Args:
        sockets: those to the server; no process that a model starts gets them.
    """
    for each in sockets:
        each.set_inheritable(False)
    for number in _SIGNALS:
        # No SIG_IGN: programs that a model runs would inherit it.
        signal.signal(number, _ignore)
    os.register_at_fork(after_in_child=lambda: _release(sockets))
    faulthandler.enable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    main_loop.lift_descriptor_limit()
    main_loop.keep_freed_memory()


def _ignore(number: int, frame: FrameType | None) -> None:
    """The server stops its workers itself."""


def _release(sockets: tuple[socket.socket, ...]) -> None:
    """In a process that a model has forked: it can be stopped, and speaks to nobody."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    for each in sockets:
        # Not close(), which waits for the event loop to let go of the socket.
        os.close(each.detach())
