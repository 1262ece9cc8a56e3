"""Sends what is logged in a worker to the server, which has the handlers for it."""

from __future__ import annotations

import logging
import sys

import attrs

from mlserver_core.executors.processes.frames import Kind
from mlserver_core.executors.processes.logs import set_levels, to_body
from mlserver_core.logging.models import NamesModel
from mlserver_core.worker.sender import Sender


class Shipping(logging.Handler):
    """Sends every record to the server, or writes it to standard error where that is gone."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self.addFilter(NamesModel())
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record."""
        try:
            body = to_body(record)
            if not self._sender.post(Kind.LOG, body):
                print(body["message"], body["traceback"] or "", file=sys.stderr)
        except Exception:  # noqa: BLE001  # a record must not break what it tells of
            self.handleError(record)


@attrs.frozen
class Logs:
    """What happens to log records of this process."""

    sender: Sender

    def start(self, levels: dict[str, int]) -> None:
        """Sends all that loggers take on whose levels are those of the server.

        Args:
            levels: by the names of the loggers; the root logger's name is empty.
        """
        set_levels(levels)
        logging.getLogger().addHandler(Shipping(self.sender))
