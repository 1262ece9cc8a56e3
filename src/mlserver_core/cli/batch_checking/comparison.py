"""Are two answers the same?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np

from mlserver_core.types import Datatype, InferenceResponse, Parameters, ResponseOutput
from mlserver_core.types.datatypes import FLOATS
from mlserver_core.types.tensors import to_elements


@attrs.frozen
class Outcome:
    """What became of a call.

    Attributes:
        answer: None where it failed.
        status: the HTTP status; 0 where there was no answer at all.
        error: the text of the error.
    """

    answer: InferenceResponse | None
    status: int = 200
    error: str = ""


def largest_floats(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """How large the finite numbers get, by output with floats.

    Raises:
        InvalidRequest: an answer's data does not fit its shape.
    """
    largest: dict[str, float] = {}
    for answer in filter(None, (outcome.answer for outcome in outcomes)):
        for each in answer.outputs:
            if each.datatype in FLOATS:
                values = to_elements(each.name, each.datatype, each.shape, each.data.root)
                sizes = np.abs(values.astype(np.float64))
                size = float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))
                largest[each.name] = max(size, largest.get(each.name, 0.0))
    return largest


def find_difference(expected: Outcome, found: Outcome, distances: Mapping[str, float]) -> str:
    """What is not the same, for the user; empty where nothing is.

    Of errors the status counts, of answers all but the id. NaN is the same as NaN.

    Args:
        expected: of the row alone.
        found: of the row among others.
        distances: how far floats may be apart, by output.

    Raises:
        InvalidRequest: an answer's data does not fit its shape.
    """
    if expected.answer is None or found.answer is None:
        same = expected.answer is found.answer and expected.status == found.status
        return "" if same else f"{_describe(expected)} alone, {_describe(found)} among others"
    one, other = expected.answer, found.answer
    names = [[output.name for output in answer.outputs] for answer in (one, other)]
    if names[0] != names[1]:
        return f"outputs {names[0]} alone, {names[1]} among others"
    if _plain(one.parameters) != _plain(other.parameters):
        return f"parameters {_plain(one.parameters)} alone, {_plain(other.parameters)} among others"
    pairs = zip(one.outputs, other.outputs, strict=True)
    return next(filter(None, (_compare(*pair, distances) for pair in pairs)), "")


def _compare(one: ResponseOutput, other: ResponseOutput, distances: Mapping[str, float]) -> str:
    facts = [f"{each.datatype} {each.shape} {_plain(each.parameters)}" for each in (one, other)]
    if facts[0] != facts[1]:
        return f"output {one.name!r}: {facts[0]} alone, {facts[1]} among others"
    mine, theirs = (
        to_elements(each.name, each.datatype, each.shape, each.data.root) for each in (one, other)
    )
    if one.datatype is Datatype.BYTES:
        pairs = zip(map(_to_bytes, mine), map(_to_bytes, theirs), strict=True)
        wrong = [position for position, (left, right) in enumerate(pairs) if left != right]
    else:
        mine, theirs = mine.reshape(-1), theirs.reshape(-1)
        if one.datatype in FLOATS:
            left, right = mine.astype(np.float64), theirs.astype(np.float64)
            same = np.isclose(
                left, right, rtol=0, atol=distances.get(one.name, 0.0), equal_nan=True
            )
        else:
            same = mine == theirs
        wrong = np.flatnonzero(~same).tolist()
    if not wrong:
        return ""
    first = wrong[0]
    return (
        f"output {one.name!r}, element {first}: {mine[first]} alone, {theirs[first]} among others"
    )


def _describe(outcome: Outcome) -> str:
    if outcome.answer is not None:
        return "an answer"
    return f"error {outcome.status or outcome.error} ({outcome.error})"


def _plain(parameters: Parameters | None) -> dict[str, Any]:
    return parameters.to_plain() if parameters else {}


def _to_bytes(text: str | bytes | None) -> bytes | None:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
