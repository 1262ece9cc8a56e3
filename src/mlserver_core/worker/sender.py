"""Sends frames to the server, from any thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import attrs

from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Kind


@attrs.define(eq=False)
class Sender:
    """The worker's side of the connection. Made in the event loop's thread.

    Attributes:
        connection: to the server; None until it is there.
        closed: is there nobody to send to any more?
    """

    connection: Connection | None = attrs.field(default=None, init=False)
    closed: bool = attrs.field(default=False, init=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _thread: int = attrs.field(factory=threading.get_ident, init=False)

    def send(self, kind: Kind, call: int, body: Any) -> None:
        """Queues a frame, in the event loop's thread.

        Raises:
            RuntimeFailed: the body cannot be sent; says where the reason stands.
        """
        if self.connection is not None and not self.closed:
            self.connection.send(kind, call, body)

    def post(self, kind: Kind, body: Any) -> bool:
        """Queues a frame that belongs to no call, in any thread: it goes out before whatever is
        sent on behalf of the code that calls this. False when there is nobody to send it to.
        """
        if self.connection is None or self.closed:
            return False
        if threading.get_ident() == self._thread:
            self.send(kind, 0, body)
            return True
        try:
            self._loop.call_soon_threadsafe(self.send, kind, 0, body)
        except RuntimeError:  # the loop has ended
            return False
        return True
