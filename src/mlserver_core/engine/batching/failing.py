"""What becomes of a batch that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from mlserver_core.errors import ErrorCode, MLServerError, Quarantined, WorkerLost

T = TypeVar("T")

#: Errors that say nothing of the requests, so that fewer of them would meet the same.
_OF_THE_SERVER = frozenset(
    {
        ErrorCode.UNAVAILABLE,
        ErrorCode.OVERLOADED,
        ErrorCode.DEADLINE_EXCEEDED,
        ErrorCode.CANCELLED,
        ErrorCode.MODEL_NOT_FOUND,
        ErrorCode.MODEL_NOT_READY,
        ErrorCode.INTERNAL,
    }
)


def is_about_content(error: MLServerError) -> bool:
    """May one of the requests be the culprit, and the others be answered without it?"""
    return isinstance(error, WorkerLost) or error.code not in _OF_THE_SERVER


def smaller_batches(members: Sequence[T], error: MLServerError) -> list[Sequence[T]]:
    """What to ask next to find the culprit: two halves, or each alone where the batch has
    ended workers, which every further try with the culprit in it would do again.
    """
    if isinstance(error, (Quarantined, WorkerLost)):
        return [[member] for member in members]
    middle = len(members) // 2
    return [members[:middle], members[middle:]]


def copy_error(error: Exception) -> Exception:
    """An error for one caller more: what is raised twice has the tracebacks of both."""
    made = type(error).__new__(type(error), *error.args)
    made.args = error.args
    made.__dict__.update(error.__dict__)
    made.__cause__ = error.__cause__
    return made
