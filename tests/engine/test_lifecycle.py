from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from mlserver_core import hookimpl
from mlserver_core.engine.remote_model import RemoteModel
from mlserver_core.executors.threads import THREAD_PREFIX
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])


def settings(implementation, **fields):
    return ModelSettings(**{"name": "m", "implementation": implementation, **fields})


async def reason(start, *models, **server):
    """Why the model ``m`` could not be loaded."""
    engine = await start(*models, on_load_error="serve", **server)
    [item] = [each for each in await engine.index() if each.name == "m"]
    assert item.state == "UNAVAILABLE"
    assert not engine.ready()
    return item.reason


@pytest.mark.parametrize("returned", [None, True, 1])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_load_that_returns_nothing_or_true_makes_the_model_ready(
    start, ask, returned, plain
):
    async def load(self):
        return returned

    def plain_load(self):
        return returned

    runtime = type("Runtime", (Answering,), {"load": plain_load if plain else load})
    engine = await start(settings(runtime))
    assert engine.model_ready("m")
    assert engine.ready()
    await ask(engine)


@pytest.mark.parametrize("returned", [False, 0])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_load_that_returns_false_has_failed(start, returned, plain):
    async def load(self):
        return returned

    def plain_load(self):
        return returned

    runtime = type("Runtime", (Answering,), {"load": plain_load if plain else load})
    assert await reason(start, settings(runtime)) == "load() returned False"


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no weights"), "ValueError: no weights"),
        (SystemExit(2), "SystemExit: 2"),
        (asyncio.CancelledError(), "CancelledError: "),
        (StopIteration(1), "RuntimeError: "),
    ],
)
async def test_a_load_that_raises_has_failed_for_that_reason(start, error, text, plain):
    async def load(self):
        raise error

    def plain_load(self):
        raise error

    runtime = type("Runtime", (Answering,), {"load": plain_load if plain else load})
    assert (await reason(start, settings(runtime))).startswith(text)


async def test_a_constructor_that_raises_has_failed_for_that_reason(start):
    class Runtime(Answering):
        def __init__(self, settings):
            raise ValueError("no settings")

    assert await reason(start, settings(Runtime)) == "ValueError: no settings"


async def test_a_failed_load_is_logged_with_the_file_and_the_traceback_of_its_cause(
    start, folder_model, caplog
):
    model = folder_model("m", "import nowhere_of_test")
    assert "No module named 'nowhere_of_test'" in await reason(start, model)
    [record] = [each for each in caplog.records if "failed to load" in each.getMessage()]
    assert str(model.source) in record.getMessage()
    assert record.exc_info[0] is ModuleNotFoundError


async def test_one_model_that_fails_leaves_the_others_loaded(start, ask):
    class Failing(Answering):
        async def load(self):
            raise ValueError

    engine = await start(
        settings(Failing), settings(Answering, name="other"), on_load_error="serve"
    )
    await ask(engine, "other")
    assert not engine.ready()


@pytest.mark.parametrize("plain", [False, True])
async def test_unload_of_the_model_runs_when_the_server_stops(start, plain):
    unloaded = []

    async def unload(self):
        unloaded.append(self.name)

    def plain_unload(self):
        unloaded.append(self.name)

    runtime = type("Runtime", (Answering,), {"unload": plain_unload if plain else unload})
    engine = await start(settings(runtime), settings(runtime, name="n"))
    loaded = [name for name, _ in engine.models._live]  # side by side, so in either order
    await engine.models.unload_all()
    assert unloaded == loaded[::-1]
    assert sorted(unloaded) == ["m", "n"]
    assert [item.state for item in await engine.index()] == ["UNAVAILABLE"] * 2


async def test_a_model_that_fails_to_unload_is_logged_and_the_next_unloads(start, caplog):
    unloaded = []

    class Failing(Answering):
        async def unload(self):
            raise ValueError("stuck")

    class Runtime(Answering):
        async def unload(self):
            unloaded.append(self.name)

    engine = await start(settings(Runtime), settings(Failing, name="n"))
    await engine.models.unload_all()
    assert unloaded == ["m"]
    assert "Model 'n' failed to unload" in caplog.text


async def test_a_failed_load_leaves_no_module_behind(start, folder_model):
    before, finders = set(sys.modules), list(sys.meta_path)
    await reason(start, folder_model("m", "import helpers_of_test\n1 / 0"))
    assert not {name for name in set(sys.modules) - before if name.startswith("mlserver_model_")}
    assert sys.meta_path == finders


async def test_a_failed_load_leaves_no_thread_behind(start):
    class Failing(Answering):
        def load(self):
            raise ValueError

    await reason(start, settings(Failing))
    for thread in threading.enumerate():
        if thread.name.startswith(THREAD_PREFIX + "m"):
            thread.join(10)
            assert not thread.is_alive()


async def test_unloading_forgets_the_modules_of_the_folder(start, folder_model, ask):
    before, finders = set(sys.modules), list(sys.meta_path)
    code = """
        from mlserver_core import MLModel
        from mlserver_core.types import InferenceResponse

        class Model(MLModel):
            def unload(self):
                import late_of_test
            async def predict(self, payload):
                return InferenceResponse(outputs=[])
    """
    model = folder_model("m", code)
    (model.folder / "late_of_test.py").write_text("")
    engine = await start(model)
    await ask(engine)
    await engine.models.unload_all()
    assert not {name for name in set(sys.modules) - before if name.startswith("mlserver_model_")}
    assert sys.meta_path == finders


@pytest.mark.parametrize(
    ("server", "model", "allowed"),
    [
        (True, None, True),
        (True, True, True),
        (True, False, False),
        (False, None, False),
        (False, True, False),
        (False, False, False),
    ],
)
async def test_a_model_may_tighten_the_rule_for_pickles_but_not_loosen_it(
    start, server, model, allowed
):
    seen = []

    class Runtime(Answering):
        async def load(self):
            seen.append(self.settings.policy)

    await start(settings(Runtime, allow_pickle=model), allow_pickle=server, trusted_types=["a.B"])
    assert [(policy.allow_pickle, policy.trusted_types) for policy in seen] == [(allowed, ("a.B",))]


async def test_an_unknown_executor_is_refused_with_the_known_ones(start):
    text = await reason(start, settings(Answering, executor="rockets"))
    assert text == "there is no executor 'rockets'; known are inline, threads, processes"


async def test_executor_processes_is_refused_for_a_model_that_no_worker_can_have(
    start, folder_model
):
    asked = folder_model("m", MUTE, executor="processes")
    assert "leave executor out" in await reason(start, asked, parallel_workers=0)
    given = settings(Answering, executor="processes")
    assert "leave executor out" in await reason(start, given, parallel_workers=1)


async def test_executor_processes_is_the_default_where_there_are_workers(start, folder_model):
    engine = await start(
        folder_model("m", MUTE, executor="processes"), parallel_workers=1, on_load_error="fail"
    )
    assert isinstance(engine.models.table.find("m").serving.model, RemoteModel)


async def test_the_default_executor_runs_plain_functions_in_threads(start):
    names = []

    class Runtime(Answering):
        def load(self):
            names.append(threading.current_thread().name)

    await start(settings(Runtime), settings(Runtime, name="inline", executor="inline"))
    assert names[0].startswith(THREAD_PREFIX + "m") or names[1].startswith(THREAD_PREFIX + "m")
    assert threading.current_thread().name in names


async def test_a_model_has_the_codecs_of_the_server_when_it_loads(start):
    seen = []

    class Runtime(Answering):
        async def load(self):
            seen.append("np" in self.codecs.inputs)

    engine = await start(settings(Runtime))
    assert seen == [True]
    assert engine.model_ready("m")


async def test_a_middleware_that_cannot_be_made_fails_the_load_and_unloads_the_model(start):
    unloaded = []

    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry, settings):
            registry.add("broken", self.make)

        def make(self, settings):
            raise ValueError("no rules")

    class Runtime(Answering):
        async def unload(self):
            unloaded.append(self.name)

    text = await reason(start, settings(Runtime), plugin=Plugin())
    assert "ValueError: no rules" in text
    assert unloaded == ["m"]


async def test_an_executor_that_cannot_be_made_fails_the_load(start):
    class Plugin:
        @hookimpl
        def mlserver_register_executors(self, registry):
            registry.add("broken", self.make)

        def make(self, settings):
            raise ValueError("no machine")

    text = await reason(start, settings(Answering, executor="broken"), plugin=Plugin())
    assert "ValueError: no machine" in text


MUTE = """
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    pass

class Handling(MLModel):
    @custom_handler(rest_path="/hello", rest_method="GET")
    def hello(self) -> str:
        return "hello"
"""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("name", "times"), [("Model", 1), ("Handling", 0)])
async def test_a_model_that_can_answer_nothing_is_named_once_and_one_with_handlers_is_not(
    start, folder_model, caplog, workers, name, times
):
    await start(folder_model("m", MUTE, implementation=f"models.{name}"), parallel_workers=workers)
    said = [text for text in caplog.messages if "has no predict()" in text]
    assert said == ["Model 'm' has no predict(): requests to it will fail"] * times
