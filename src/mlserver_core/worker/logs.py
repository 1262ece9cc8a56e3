"""Sends what is logged in a worker to the server, which has the handlers for it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

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
                parts = filter(None, (body["message"], body["traceback"]))
                sys.stderr.write("\n".join(parts) + "\n")
        except Exception:  # noqa: BLE001  # a record must not break what it tells of
            self.handleError(record)


def start_shipping(sender: Sender, levels: Mapping[str, int]) -> None:
    """Sends to the server whatever loggers take on, at the levels that they have there.

    Args:
        sender: to the server.
        levels: by the names of the loggers; the root logger's name is empty.
    """
    set_levels(levels)
    logging.getLogger().addHandler(Shipping(sender))
