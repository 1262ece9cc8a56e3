"""What becomes of a frame whose body this process could not take.

Only the call that it belongs to fails: the frames before and after it are whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from mlserver_core.errors import MLServerError
from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind

#: What is handed on in place of a frame, with the error as its body.
_IN_PLACE = {
    Kind.RESULT: Kind.ERROR,
    Kind.ITEM: Kind.ERROR,
    Kind.ERROR: Kind.ERROR,
    Kind.INPUT: Kind.INPUT_ERROR,
    Kind.INPUT_ERROR: Kind.INPUT_ERROR,
}
#: What begins a call, which is answered with the error.
_BEGINNINGS = frozenset({Kind.LOAD, Kind.PREDICT, Kind.STREAM, Kind.CALL, Kind.EXCHANGE})


@attrs.frozen
class Unread:
    """In the place of a body.

    Attributes:
        error: why there is none.
    """

    error: MLServerError


def replace_unread(frame: Frame, send: Callable[[Kind, int, Any], None]) -> Frame | None:
    """The frame to hand on in place of one with an ``Unread`` body; None where the other side
    has been told.

    Raises:
        BrokenFrame: the two processes cannot go on without what this frame had.
    """
    error: MLServerError = frame.body.error
    if frame.kind in _BEGINNINGS:
        send(Kind.ERROR, frame.call, error)
        return None
    if frame.kind not in _IN_PLACE:
        raise BrokenFrame(f"a frame {frame.kind.name} cannot be read: {error}")
    if frame.kind is Kind.ITEM:  # an error is the end of the call here, so it is there
        send(Kind.CANCEL, frame.call, {"expired": False})
    return Frame(_IN_PLACE[frame.kind], frame.call, error)
