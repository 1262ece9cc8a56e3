"""What a new worker loads, in which order, and when it is tried again."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from mlserver_core.errors import ModelLoadError, WorkerLost
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.processes.generation import Generation
from mlserver_core.executors.processes.recovery import Recovery
from mlserver_core.settings import ModelSettings


@attrs.define(eq=False)
class Worker:
    """A process of which only the outcome of loads matters here."""

    loaded: dict = attrs.field(factory=dict)
    culprit: object = None


@attrs.define(eq=False)
class Place:
    """A pool whose loads end as ``outcomes`` says: one outcome for each, by name, then success.

    Loads that begin while others are under way are noted with them in ``begun``.
    """

    outcomes: dict
    workers: list = attrs.field(factory=lambda: [Worker()])
    begun: list = attrs.field(factory=list)
    pauses: list = attrs.field(factory=list)
    serving: dict = attrs.field(factory=dict)
    _under_way: list = attrs.field(factory=list)

    async def load(self, worker, generation):
        self._under_way.append(generation.name)
        self.begun.append(list(self._under_way))
        await asyncio.sleep(0)
        self._under_way.remove(generation.name)
        error = next(iter(self.outcomes.get(generation.name, [])), None)
        if error is not None:
            self.outcomes[generation.name].pop(0)
            if isinstance(error, WorkerLost):
                self.workers.remove(worker)
            raise error
        worker.loaded[generation.number] = True

    async def pause(self, seconds):
        self.pauses.append(seconds)

    async def live(self):
        """Worker after worker is brought up, until one serves to the end."""
        recovery = Recovery(self.serving, self.workers, self.load, self.pause)
        for _ in range(20):
            [worker] = self.workers
            await recovery.bring_up(worker, list(self.serving.values()))
            if self.workers:
                return worker
            self.workers.append(Worker())
        raise AssertionError("no worker serves")


def make(outcomes, names="abc"):
    place = Place(outcomes)
    for number, name in enumerate(names):
        source = ModelSource(settings=ModelSettings(name=name, implementation="m.M"), make=object)
        place.serving[number] = Generation(number=number, source=source)
    return place


def lost(times=1):
    return [WorkerLost("the worker has ended (exit code 3)") for _ in range(times)]


async def test_all_models_are_loaded_together():
    place = make({})
    worker = await place.live()
    assert place.begun == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert len(worker.loaded) == 3


async def test_what_ended_a_worker_comes_last_and_alone_in_the_next():
    place = make({"b": lost()})
    place.serving[1].deaths = 1
    await place.live()
    assert place.begun[-1] == ["b"]
    assert place.begun.count(["b"]) == 2
    assert place.serving[1].deaths == 0  # in the end it was loaded


async def test_what_goes_on_to_end_workers_is_tried_later_than_the_rest(caplog):
    place = make({"a": lost(3)})
    worker = await place.live()
    assert place.pauses == [600.0]
    assert set(worker.loaded) == {0, 1, 2}
    assert "3 workers in a row ended while the model was loaded" in caplog.text


async def test_a_model_alone_in_its_pool_is_never_left_out():
    place = make({"a": lost(7)}, names="a")
    worker = await place.live()
    assert worker.loaded == {0: True}
    assert place.pauses == []


async def test_a_load_that_fails_is_tried_again_ever_later():
    errors = [ModelLoadError("a", "no weights") for _ in range(3)]
    place = make({"a": errors})
    worker = await place.live()
    assert place.pauses == [0.5, 1.0, 2.0]
    assert worker.loaded.keys() == {0, 1, 2}
    assert place.serving[0].deaths == 0


async def test_a_load_is_not_blamed_where_the_culprit_is_known():
    place = make({"a": lost()})
    [worker] = place.workers
    worker.culprit = "a call that was stuck"
    recovery = Recovery(place.serving, place.workers, place.load, place.pause)
    await recovery.bring_up(worker, list(place.serving.values()))
    assert [each.deaths for each in place.serving.values()] == [0, 0, 0]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_model_that_is_unloaded_is_not_loaded_any_more(when):
    place = make({"a": [ModelLoadError("a", "no weights")] * 2})
    place.serving[1].deaths = 1

    async def load(worker, generation):
        place.serving.pop(1, None)
        await place.load(worker, generation)

    async def pause(seconds):
        place.serving.pop(0, None)

    loads = list(place.serving.values())
    if when == "before":
        del place.serving[1]
    [worker] = place.workers
    await Recovery(place.serving, place.workers, load, pause).bring_up(worker, loads)
    assert set(worker.loaded) == {2}


async def test_a_model_that_is_unloaded_when_its_worker_ends_is_not_blamed(caplog):
    place = make({"a": lost()}, names="a")
    [generation], [worker] = list(place.serving.values()), place.workers

    async def load(worker, generation):
        place.serving.clear()  # as when the server stops
        await place.load(worker, generation)

    recovery = Recovery(place.serving, place.workers, load, place.pause)
    await recovery.bring_up(worker, [generation])
    assert generation.deaths == 0
    assert caplog.text == ""


@pytest.mark.parametrize("is_kept", [True, False])
async def test_of_a_model_that_was_loaded_anew_meanwhile_the_older_load_is_tried_while_it_is_there(
    caplog, is_kept
):
    place = make({"a": [ModelLoadError("a", "no weights")]})
    [worker], loads = place.workers, [place.serving[0]]

    async def load(worker, generation):
        place.serving.setdefault(9, Generation(number=9, source=place.serving[0].source))
        await place.load(worker, generation)

    async def pause(seconds):
        del place.serving[9 if is_kept else 0]  # the newer one was refused, or has replaced it

    await Recovery(place.serving, place.workers, load, pause).bring_up(worker, loads)
    assert (0 in worker.loaded) is is_kept
    assert "is tried again" not in caplog.text  # it would alarm for nothing


async def test_a_load_that_fails_beside_its_process_ends_the_row_of_deaths():
    place = make({"a": [*lost(2), ModelLoadError("a", "no weights"), *lost(2)]})
    await place.live()
    assert 600.0 not in place.pauses
