"""Which model's code a record of the log was made in."""

from __future__ import annotations

import contextvars
import logging

#: ``NAME`` or ``NAME:VERSION`` of the model whose code runs in the current task or thread; empty
#: where no model's does.
current_model: contextvars.ContextVar[str] = contextvars.ContextVar("mlserver_model", default="")


class NamesModel(logging.Filter):
    """Gives every record an attribute ``model``: ``[NAME:VERSION]``, or an empty text where no
    model's code made it. One that has it already, as a worker's records do, keeps it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        if not hasattr(record, "model"):
            record.model = in_brackets(current_model.get())
        return True


def in_brackets(model: str) -> str:
    """How a line of the log names a model; empty for an empty name."""
    return f"[{model}]" if model else ""
