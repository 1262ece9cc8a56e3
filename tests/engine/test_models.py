from __future__ import annotations

import asyncio
import json
import threading

import attrs
import pytest

from mlserver_core import hookimpl
from mlserver_core.custom_handlers import custom_handler
from mlserver_core.errors import (
    MLServerError,
    ModelNotFound,
    ModelNotReady,
    PermissionDenied,
    RuntimeFailed,
    Unavailable,
)
from mlserver_core.model import MLModel
from mlserver_core.repositories.interfaces import Listing, Unreadable
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[], parameters={"platform": self.settings.platform})


class Failing(Answering):
    async def load(self):
        raise ValueError("no weights in /srv/models/weights.bin")


class Gate(Answering):
    """A predict that waits, and a record of what happened."""

    def __init__(self, settings):
        super().__init__(settings)
        self.entered, self.go = asyncio.Event(), asyncio.Event()
        self.unloaded = False

    async def predict(self, payload):
        self.entered.set()
        await self.go.wait()
        assert not self.unloaded
        return await super().predict(payload)

    async def unload(self):
        self.unloaded = True


def settings(implementation=Answering, version=None, **fields):
    values = {"name": "m", "implementation": implementation, "parameters": {"version": version}}
    return ModelSettings(**{**values, **fields})


@attrs.define
class Shelf:
    """A repository whose content a test changes."""

    models: list = attrs.field(factory=list)
    unreadable: tuple = ()
    error: Exception | None = None

    async def list(self):
        if self.error is not None:
            raise self.error
        return Listing(tuple(self.models), unreadable=self.unreadable)

    async def find(self, name):
        return (await self.list()).of(name)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
async def engine(start, shelf):
    """An engine that serves nothing yet, and its repository."""
    engine = await start()
    engine.models.repository = shelf
    return engine


async def index(engine):
    items = await engine.index()
    return {(item.name, item.version): (str(item.state), item.reason) for item in items}


async def becomes(engine, state):
    while (await index(engine))["m", None][0] != state:  # noqa: ASYNC110  # nothing else tells
        await asyncio.sleep(0)


async def platform(ask, engine, **options):
    return (await ask(engine, **options)).parameters.platform


def model_of(engine, version=None):
    return engine.models.table.find("m", version).serving.model


async def test_a_model_of_the_repository_serves_after_load_and_not_after_unload(engine, shelf, ask):
    shelf.models = [settings()]
    assert await index(engine) == {("m", None): ("UNAVAILABLE", "")}
    await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "")}
    await ask(engine)
    await engine.unload_model("m")
    assert await index(engine) == {("m", None): ("UNAVAILABLE", "")}
    with pytest.raises(ModelNotFound):
        await ask(engine)
    assert engine.ready()


@pytest.mark.parametrize("action", ["load_model", "unload_model"])
async def test_an_unknown_name_is_not_found(engine, action):
    with pytest.raises(ModelNotFound, match="Model nope not found"):
        await getattr(engine, action)("nope")


@pytest.mark.parametrize("action", ["load_model", "unload_model"])
async def test_neither_is_done_when_the_repository_api_is_off(start, ask, action):
    engine = await start(settings(), model_repository_api="off")
    with pytest.raises(PermissionDenied):
        await getattr(engine, action)("m")
    await ask(engine)


async def test_load_reads_the_settings_anew(engine, shelf, ask):
    shelf.models = [settings(platform="one")]
    await engine.load_model("m")
    shelf.models = [settings(platform="two")]
    await engine.load_model("m")
    assert await platform(ask, engine) == "two"


async def test_load_runs_the_code_of_the_folder_anew(start, folder_model, write, ask):
    code = """
    from mlserver_core import MLModel
    from mlserver_core.types import InferenceResponse

    class Model(MLModel):
        async def predict(self, payload):
            return InferenceResponse(outputs=[], parameters={"platform": "old"})
    """
    engine = await start(folder_model("m", code))
    assert await platform(ask, engine) == "old"
    write("m/models.py", code.replace("old", "new"))
    await engine.load_model("m")
    assert await platform(ask, engine) == "new"


async def test_the_old_model_answers_while_the_new_one_loads(engine, shelf, ask):
    entered, go = asyncio.Event(), asyncio.Event()

    class Slow(Answering):
        async def load(self):
            entered.set()
            await go.wait()

    shelf.models = [settings(platform="old")]
    await engine.load_model("m")
    shelf.models = [settings(Slow, platform="new")]
    loading = asyncio.ensure_future(engine.load_model("m"))
    await entered.wait()
    assert await platform(ask, engine) == "old"
    assert engine.ready()
    go.set()
    await loading
    assert await platform(ask, engine) == "new"


async def test_a_request_of_the_old_model_is_finished_before_it_is_unloaded(engine, shelf, ask):
    shelf.models = [settings(Gate, platform="old")]
    await engine.load_model("m")
    old = model_of(engine)
    asked = asyncio.ensure_future(platform(ask, engine))
    await old.entered.wait()
    shelf.models = [settings(platform="new")]
    await engine.load_model("m")
    assert await platform(ask, engine) == "new"
    assert not old.unloaded
    old.go.set()
    assert await asked == "old"
    assert await engine.models._retirement.end(30) == []
    assert old.unloaded


async def test_unload_waits_for_the_requests_in_flight_and_takes_no_more(engine, shelf, ask):
    shelf.models = [settings(Gate)]
    await engine.load_model("m")
    model = model_of(engine)
    asked = asyncio.ensure_future(ask(engine))
    await model.entered.wait()
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    await becomes(engine, "UNLOADING")
    with pytest.raises(ModelNotReady):
        await ask(engine)
    assert engine.ready()
    assert not unloading.done()
    model.go.set()
    await asked
    await unloading
    assert model.unloaded


async def test_a_model_whose_old_requests_never_end_can_be_loaded_again(engine, shelf, ask):
    shelf.models = [settings(Gate)]
    await engine.load_model("m")
    old = model_of(engine)
    asked = asyncio.ensure_future(ask(engine))
    await old.entered.wait()
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    await becomes(engine, "UNLOADING")
    shelf.models = [settings(platform="new")]
    await engine.load_model("m")
    assert await platform(ask, engine) == "new"
    old.go.set()
    await asyncio.gather(asked, unloading)
    assert await platform(ask, engine) == "new"


async def test_a_failed_reload_leaves_the_old_model_serving_and_says_why(engine, shelf, ask):
    shelf.models = [settings(platform="old")]
    await engine.load_model("m")
    shelf.models = [settings(Failing)]
    with pytest.raises(RuntimeFailed) as failed:
        await engine.load_model("m")
    assert str(failed.value) == ("model 'm' failed to load: ValueError: no weights in weights.bin")
    assert await platform(ask, engine) == "old"
    assert await index(engine) == {
        ("m", None): ("READY", "the last load failed: ValueError: no weights in weights.bin")
    }
    assert engine.ready()
    shelf.models = [settings(platform="new")]
    await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "")}


async def test_a_failed_first_load_leaves_the_server_ready_and_the_model_listed_with_its_reason(
    engine, shelf, ask
):
    shelf.models = [settings(Failing)]
    with pytest.raises(RuntimeFailed):
        await engine.load_model("m")
    assert await index(engine) == {
        ("m", None): ("UNAVAILABLE", "ValueError: no weights in weights.bin")
    }
    assert engine.ready()
    with pytest.raises(ModelNotReady):
        await ask(engine)
    await engine.unload_model("m")
    assert await index(engine) == {("m", None): ("UNAVAILABLE", "")}


async def test_a_model_that_failed_at_start_is_still_expected_when_it_fails_again(start):
    engine = await start(settings(Failing), on_load_error="serve")
    with pytest.raises(RuntimeFailed):
        await engine.load_model("m")
    assert not engine.ready()
    await engine.unload_model("m")
    assert engine.ready()


async def test_settings_that_cannot_be_used_are_told_by_load_and_index(engine, shelf):
    shelf.unreadable = (Unreadable("m", ("/srv/m/model-settings.json: name: expected a string",)),)
    with pytest.raises(RuntimeFailed, match=r"^model-settings\.json: name: expected a string$"):
        await engine.load_model("m")
    assert await index(engine) == {
        ("m", None): ("UNAVAILABLE", "model-settings.json: name: expected a string")
    }


async def test_settings_that_cannot_be_used_leave_other_models_alone(engine, shelf, ask):
    shelf.models = [settings()]
    shelf.unreadable = (Unreadable("other", ("broken",)),)
    await engine.load_model("m")
    await ask(engine)


async def test_with_on_load_error_serve_broken_settings_keep_the_others_serving(
    start, model_folder, tmp_path, ask
):
    model_folder("good", implementation="echo")
    model_folder("bad")
    engine = await start(
        load_models_at_startup=True, model_repository_root=str(tmp_path), on_load_error="serve"
    )
    await ask(engine, "good")
    assert not engine.ready()
    state, reason = (await index(engine))["bad", None]
    assert state == "UNAVAILABLE"
    assert reason.endswith("implementation: required, but missing")


async def test_every_version_of_the_repository_is_loaded_and_what_is_gone_is_unloaded(
    engine, shelf, ask
):
    shelf.models = [settings(version="1"), settings(version="2")]
    await engine.load_model("m")
    shelf.models = [settings(version="2"), settings(version="10")]
    await engine.load_model("m")
    assert await engine.models._retirement.end(30) == []
    assert await index(engine) == {("m", "2"): ("READY", ""), ("m", "10"): ("READY", "")}
    assert (await ask(engine)).model_version == "10"


async def test_an_unversioned_model_in_place_of_a_versioned_one_takes_over(engine, shelf, ask):
    shelf.models = [settings(version="1")]
    await engine.load_model("m")
    shelf.models = [settings()]
    await engine.load_model("m")
    assert await engine.models._retirement.end(30) == []
    assert await index(engine) == {("m", None): ("READY", "")}
    assert engine.ready()


async def test_versions_that_are_gone_serve_on_when_a_new_one_failed(engine, shelf, ask):
    shelf.models = [settings(version="1")]
    await engine.load_model("m")
    shelf.models = [settings(Failing, version="2")]
    with pytest.raises(RuntimeFailed):
        await engine.load_model("m")
    assert (await ask(engine)).model_version == "1"
    states = {version: state for (_, version), (state, _) in (await index(engine)).items()}
    assert states == {"1": "READY", "2": "UNAVAILABLE"}


async def test_each_version_has_a_state_of_its_own(engine, shelf):
    shelf.models = [settings(version="1"), settings(Failing, version="2")]
    with pytest.raises(RuntimeFailed):
        await engine.load_model("m")
    assert (await index(engine))["m", "1"][0] == "READY"
    assert (await index(engine))["m", "2"][0] == "UNAVAILABLE"


async def test_a_model_is_loading_while_it_loads_and_the_server_not_ready(engine, shelf):
    entered, go = asyncio.Event(), asyncio.Event()

    class Slow(Answering):
        async def load(self):
            entered.set()
            await go.wait()

    shelf.models = [settings(Slow)]
    loading = asyncio.ensure_future(engine.load_model("m"))
    await entered.wait()
    assert await index(engine) == {("m", None): ("LOADING", "")}
    assert not engine.ready()
    go.set()
    await loading
    assert engine.ready()


async def test_what_is_done_to_one_model_is_done_one_after_the_other(engine, shelf):
    under_way, most = 0, 0

    class Watched(Answering):
        async def load(self):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            for _ in range(3):
                await asyncio.sleep(0)
            under_way -= 1

    shelf.models = [settings(Watched)]
    actions = [engine.load_model("m"), engine.unload_model("m")] * 10
    outcomes = await asyncio.gather(*actions, return_exceptions=True)
    assert most == 1
    assert {type(outcome) for outcome in outcomes} <= {type(None), ModelNotFound}
    await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "")}


async def test_no_request_is_lost_or_refused_while_a_model_is_reloaded(engine, shelf, ask):
    class Busy(Answering):
        async def predict(self, payload):
            await asyncio.sleep(0)
            assert self.ready
            return await super().predict(payload)

        async def unload(self):
            self.ready = False

    shelf.models = [settings(Busy)]
    await engine.load_model("m")
    done = asyncio.Event()

    async def keep_asking():
        count = 0
        while not done.is_set():
            await ask(engine)
            count += 1
        return count

    askers = [asyncio.ensure_future(keep_asking()) for _ in range(8)]
    for _ in range(30):
        await engine.load_model("m")
    done.set()
    assert all(count > 0 for count in await asyncio.gather(*askers))


async def test_a_load_goes_on_when_its_caller_leaves(engine, shelf):
    entered, go = asyncio.Event(), asyncio.Event()

    class Slow(Answering):
        async def load(self):
            entered.set()
            await go.wait()

    shelf.models = [settings(Slow)]
    asked = asyncio.ensure_future(engine.load_model("m"))
    await entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    go.set()
    await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "")}


async def test_a_load_is_given_up_when_the_server_stops_and_its_caller_is_told(engine, shelf):
    entered = asyncio.Event()

    class Endless(Answering):
        async def load(self):
            entered.set()
            await asyncio.Event().wait()

    shelf.models = [settings(Endless)]
    asked = asyncio.ensure_future(engine.load_model("m"))
    await entered.wait()
    await engine.models.stop_loading()
    with pytest.raises(Unavailable):
        await asked
    with pytest.raises(Unavailable):
        await engine.load_model("m")


async def test_a_retired_model_that_is_still_at_work_is_unloaded_when_the_server_stops(
    engine, shelf, ask
):
    shelf.models = [settings(Gate)]
    await engine.load_model("m")
    old = model_of(engine)
    asked = asyncio.ensure_future(ask(engine))
    await old.entered.wait()
    await engine.load_model("m")
    await engine.models.stop_loading()
    await engine.models.unload_all(0.01)
    assert old.unloaded
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_repository_that_fails_is_told_and_what_serves_is_still_listed(engine, shelf):
    shelf.models = [settings()]
    await engine.load_model("m")
    shelf.error = OSError("the bucket at /mnt/x/bucket is gone")
    with pytest.raises(RuntimeFailed, match="repository failed: OSError: the bucket at bucket is"):
        await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "")}


async def test_index_can_be_asked_for_what_is_ready_alone(engine, shelf):
    shelf.models = [settings(), settings(name="n")]
    await engine.load_model("m")
    assert [item.name for item in await engine.index(ready=True)] == ["m"]


async def test_hooks_are_told_of_each_load_and_unload(start, shelf):
    told = []

    class Plugin:
        @hookimpl
        def mlserver_model_loaded(self, model):
            told.append(("loaded", model.settings.platform))

        @hookimpl
        def mlserver_model_unloaded(self, model):
            told.append(("unloaded", model.settings.platform))

    engine = await start(plugin=Plugin())
    engine.models.repository = shelf
    for name in ("one", "two"):
        shelf.models = [settings(platform=name)]
        await engine.load_model("m")
        assert await engine.models._retirement.end(30) == []
    await engine.unload_model("m")
    assert told == [
        ("loaded", "one"),
        ("loaded", "two"),
        ("unloaded", "one"),
        ("unloaded", "two"),
    ]


class Explaining(Answering):
    @custom_handler(rest_path="/explain")
    async def explain(self):
        return self.name


class Clashing(Answering):
    @custom_handler(rest_path="/explain/", rest_method="get")
    async def other(self): ...

    @custom_handler(rest_path="/explain")
    async def explain(self): ...


async def test_two_models_with_one_custom_path_are_refused_with_both_names(engine, shelf):
    shelf.models = [settings(Explaining), settings(Clashing, name="n")]
    await engine.load_model("m")
    with pytest.raises(RuntimeFailed) as refused:
        await engine.load_model("n")
    assert str(refused.value) == (
        "model 'n' failed to load: the custom handler 'explain' answers POST /explain, as "
        "'explain' of model m does; give one of them another rest_path"
    )
    assert engine.find_route("GET", "/explain/") is None


class Renamed(Answering):
    @custom_handler(rest_path="/explain")
    async def clarify(self):
        return "of the new load"


async def no_arguments():
    return {}


async def test_custom_handlers_come_and_go_with_their_model(engine, shelf):
    shelf.models = [settings(Explaining)]
    await engine.load_model("m")
    await engine.load_model("m")
    match = engine.find_route("POST", "/explain")
    assert await engine.call_route(match.route, no_arguments, RequestContext()) == "m"
    assert engine.route_methods("/explain") == {"POST"}
    await engine.unload_model("m")
    assert engine.find_route("POST", "/explain") is None
    with pytest.raises(MLServerError):
        await engine.call_route(match.route, no_arguments, RequestContext())


async def test_custom_call_is_answered_by_the_load_that_it_came_to(engine, shelf):
    shelf.models = [settings(Explaining)]
    await engine.load_model("m")
    match = engine.find_route("POST", "/explain")
    reading, sent = asyncio.Event(), asyncio.Event()

    async def read_slowly():
        reading.set()
        await sent.wait()
        return {}

    call = asyncio.create_task(engine.call_route(match.route, read_slowly, RequestContext()))
    await reading.wait()
    shelf.models = [settings(Renamed)]
    await engine.load_model("m")
    sent.set()
    assert await call == "m"
    with pytest.raises(ModelNotReady):
        await engine.call_route(match.route, no_arguments, RequestContext())
    new = engine.find_route("POST", "/explain")
    assert await engine.call_route(new.route, no_arguments, RequestContext()) == "of the new load"


async def test_of_several_versions_the_newest_answers_the_custom_path(engine, shelf):
    shelf.models = [settings(Explaining, version=each) for each in ("9", "10")]
    await engine.load_model("m")
    assert engine.find_route("POST", "/explain").route.version == "10"


async def test_of_a_versioned_and_an_unversioned_model_the_default_one_answers_the_custom_path(
    engine, shelf
):
    shelf.models = [settings(Explaining), settings(Explaining, version="1")]
    await engine.load_model("m")
    assert engine.find_route("POST", "/explain").route.version is None


async def test_a_second_unload_waits_for_the_first(engine, shelf, ask):
    shelf.models = [settings(Gate)]
    await engine.load_model("m")
    model = model_of(engine)
    asked = asyncio.ensure_future(ask(engine))
    await model.entered.wait()
    first = asyncio.ensure_future(engine.unload_model("m"))
    await becomes(engine, "UNLOADING")
    second = asyncio.ensure_future(engine.unload_model("m"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    assert (await index(engine))["m", None][0] == "UNLOADING"
    model.go.set()
    await asyncio.gather(asked, first, second)
    assert model.unloaded


async def test_a_model_is_not_unloaded_while_a_thread_works_for_a_caller_who_has_left(
    engine, shelf, ask
):
    loop = asyncio.get_running_loop()
    entered, go, order = asyncio.Event(), threading.Event(), []

    class Working(MLModel):
        def predict(self, payload):
            loop.call_soon_threadsafe(entered.set)
            assert go.wait(30)
            order.append("predicted")

        def unload(self):
            order.append("unloaded")

    shelf.models = [settings(Working)]
    await engine.load_model("m")
    asked = asyncio.ensure_future(ask(engine))
    await entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    await becomes(engine, "UNLOADING")
    go.set()
    await unloading
    assert order == ["predicted", "unloaded"]


@pytest.mark.parametrize("name", ["x/y", "..", "a\nb"])
async def test_with_on_load_error_serve_a_name_that_is_none_keeps_the_others_serving(
    start, model_folder, write, tmp_path, ask, name
):
    model_folder("good", implementation="echo")
    text = json.dumps({"implementation": "echo", "name": name})
    write("bad/model-settings.json", text)
    engine = await start(
        load_models_at_startup=True, model_repository_root=str(tmp_path), on_load_error="serve"
    )
    await ask(engine, "good")
    state, reason = (await index(engine))["bad", None]
    assert state == "UNAVAILABLE"
    assert "expected a name without slashes" in reason


async def test_an_unreadable_model_of_a_custom_repository_may_be_called_anything(start):
    engine = await start()
    failed = await engine.models.load_all([], [Unreadable("a/b", ("is broken",))])
    assert [each.message for each in failed] == ["is broken"]


async def test_settings_that_can_no_more_be_used_show_in_the_index_of_a_model_that_serves(
    engine, shelf, ask
):
    shelf.models = [settings()]
    await engine.load_model("m")
    shelf.models, shelf.unreadable = [], (Unreadable("m", ("m is broken",)),)
    with pytest.raises(RuntimeFailed, match="m is broken"):
        await engine.load_model("m")
    assert await index(engine) == {("m", None): ("READY", "the last load failed: m is broken")}
    await ask(engine)


async def test_a_model_that_never_loaded_has_no_metrics(engine, shelf):
    shelf.models = [settings(Failing)]
    with pytest.raises(RuntimeFailed):
        await engine.load_model("m")
    names = {
        sample.labels.get("model")
        for each in engine.metrics.registry.collect()
        for sample in each.samples
    }
    assert "m" not in names
