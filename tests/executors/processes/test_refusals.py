"""A body that cannot be taken costs its own call and no other."""

import pytest

from mlserver_core.errors import Unavailable
from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind
from mlserver_core.executors.processes.refusals import Unread, replace_unread

ERROR = Unavailable("no memory")
CANCEL = (Kind.CANCEL, 5, {"expired": False})


@pytest.mark.parametrize(
    ("kind", "handed_on", "told"),
    [
        (Kind.RESULT, Kind.ERROR, []),
        (Kind.ERROR, Kind.ERROR, []),
        (Kind.ITEM, Kind.ERROR, [CANCEL]),
        (Kind.INPUT, Kind.INPUT_ERROR, []),
        (Kind.INPUT_ERROR, Kind.INPUT_ERROR, []),
        (Kind.LOAD, None, [(Kind.ERROR, 5, ERROR)]),
        (Kind.PREDICT, None, [(Kind.ERROR, 5, ERROR)]),
        (Kind.STREAM, None, [(Kind.ERROR, 5, ERROR)]),
        (Kind.CALL, None, [(Kind.ERROR, 5, ERROR)]),
        (Kind.EXCHANGE, None, [(Kind.ERROR, 5, ERROR)]),
    ],
)
def test_the_call_fails_on_the_side_that_waits_for_it(kind, handed_on, told):
    sent = []
    frame = replace_unread(Frame(kind, 5, Unread(ERROR)), lambda *each: sent.append(each))
    assert frame == (None if handed_on is None else Frame(handed_on, 5, ERROR))
    assert sent == told


@pytest.mark.parametrize("kind", [Kind.INIT, Kind.HELLO, Kind.LOG, Kind.CANCEL])
def test_frames_of_no_call_cannot_be_done_without(kind):
    with pytest.raises(BrokenFrame, match=f"a frame {kind.name} cannot be read: no memory"):
        replace_unread(Frame(kind, 0, Unread(ERROR)), lambda *_: None)
