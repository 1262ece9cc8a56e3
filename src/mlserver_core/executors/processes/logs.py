"""Log records on their way from a worker to the handlers of its server."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any


def levels() -> dict[str, int]:
    """The levels that loggers of this process have, by name; the root logger's name is empty."""
    root = logging.getLogger()
    found = {"": root.level}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level != logging.NOTSET:
            found[name] = logger.level
    return found


def set_levels(wanted: Mapping[str, int]) -> None:
    """Gives the loggers of this process levels that ``levels`` gave in another."""
    for name, level in wanted.items():
        logging.getLogger(name or None).setLevel(level)


def to_body(record: logging.LogRecord) -> dict[str, Any]:
    """What is sent of a record: texts and numbers only."""
    return {
        "name": record.name,
        "levelno": record.levelno,
        "levelname": record.levelname,
        "created": record.created,
        "message": record.getMessage(),
        "traceback": _traceback(record),
        "model": getattr(record, "model", ""),
        "process": record.process,
        "threadName": record.threadName,
        "pathname": record.pathname,
        "lineno": record.lineno,
        "funcName": record.funcName,
    }


def emit(body: Mapping[str, Any]) -> None:
    """Gives a record of a worker to the handlers of this process, if they want such a level.

    Args:
        body: what ``to_body`` made of it.
    """
    logger = logging.getLogger(body["name"])
    if not logger.isEnabledFor(body["levelno"]):
        return
    record = logging.makeLogRecord({**body, "msg": body["message"], "args": None})
    record.exc_text = body["traceback"]
    record.msecs = (record.created % 1) * 1000
    logger.handle(record)


def _traceback(record: logging.LogRecord) -> str | None:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts) or None
