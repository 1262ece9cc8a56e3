"""How many requests were merged, as far as the server's metrics tell."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Counts:
    """What a server had counted of a model at a moment, or between two.

    Attributes:
        calls: how often the model was asked with batching on.
        cached: requests that the response cache answered.
        problem: why it is not known, for the user; empty where it is.
    """

    calls: int = 0
    cached: int = 0
    problem: str = ""

    def since(self, before: Counts) -> Counts:
        """What was counted from then on."""
        if problem := before.problem or self.problem:
            return Counts(problem=problem)
        calls, cached = self.calls - before.calls, self.cached - before.cached
        if min(calls, cached) < 0:
            return Counts(
                problem="The server began to count anew during the check: it was started, or the "
                "model was unloaded and loaded again"
            )
        return Counts(calls=calls, cached=cached)


@attrs.frozen
class Merges:
    """What can be said of merging.

    Attributes:
        text: for the user.
        are_proven: were requests merged, for sure?
    """

    text: str
    are_proven: bool


def describe_merges(alone: Counts, together: Counts, times: int) -> Merges:
    """Whether requests were merged.

    Args:
        alone: counted while the rows were asked one after the other.
        together: counted while they were asked at once.
        times: how often they all were.
    """
    if problem := alone.problem or together.problem:
        return Merges(f"{problem}, so whether requests were merged is not known.", are_proven=False)
    # Those alone, since not each row that is sent comes so far: some are refused before.
    came = times * (alone.calls + alone.cached) - together.cached
    calls = together.calls
    if calls < came and calls:
        text = f"{came} requests came to the model in {calls} calls, so {came - calls} were merged."
        return Merges(text, are_proven=True)
    return Merges(f"Nothing is proven about batches. {_doubt(came, together)}", are_proven=False)


def _doubt(came: int, together: Counts) -> str:
    """Why nothing was merged."""
    calls = together.calls
    if together.cached and not calls:
        return (
            f"No requests were merged: the response cache answered all {together.cached}. Switch "
            "cache_enabled off for the time of the check."
        )
    if not calls:
        return (
            "No requests were merged: adaptive batching is off for this model. Set max_batch_size "
            "above 1 and max_batch_time above 0 in its model-settings.json and load it anew."
        )
    if calls > came:
        return (
            f"Batching costs time: {came} requests came to the model in {calls} calls. Batches "
            "failed, or their answers could not be cut by rows, and were asked again in smaller "
            "ones, and the server's log says why; or others asked the model meanwhile."
        )
    return (
        f"No requests were merged: {came} came to the model in {calls} calls. It may be too fast "
        'to be busy; "batch_when_idle": false makes requests wait for others.'
    )
