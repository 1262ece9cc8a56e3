from __future__ import annotations

import asyncio

import pytest

from mlserver_core import hookimpl
from mlserver_core.errors import (
    InvalidRequest,
    MLServerError,
    ModelNotFound,
    ModelNotReady,
    PermissionDenied,
    RuntimeFailed,
)
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse, MetadataModelResponse


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])


def settings(implementation=Answering, version=None, **fields):
    values = {"name": "m", "implementation": implementation, "parameters": {"version": version}}
    return ModelSettings(**{**values, **fields})


async def states(engine, **options):
    return [
        (item.name, item.version, item.state, item.reason) for item in await engine.index(**options)
    ]


async def test_an_unknown_model_or_version_is_not_found(start, ask):
    engine = await start(settings(version="1"))
    with pytest.raises(ModelNotFound, match="Model other not found"):
        await ask(engine, "other")
    with pytest.raises(ModelNotFound, match="Model m with version 2 not found"):
        await ask(engine, version="2")
    with pytest.raises(ModelNotFound):
        engine.model_ready("other")
    with pytest.raises(ModelNotFound):
        await engine.metadata("other")


async def test_a_version_is_chosen_by_name_and_the_newest_by_default(start, ask):
    engine = await start(settings(version="v9"), settings(version="v10"))
    assert (await ask(engine)).model_version == "v10"
    assert (await ask(engine, version="")).model_version == "v10"
    assert (await ask(engine, version="v9")).model_version == "v9"


async def test_a_model_that_lowers_ready_is_not_ready_until_it_raises_it_again(start, ask):
    class Runtime(Answering):
        async def predict(self, payload):
            self.ready = False
            return await super().predict(payload)

    models = []

    class Plugin:
        @hookimpl
        def mlserver_model_loaded(self, model):
            models.append(model)

    engine = await start(settings(Runtime), plugin=Plugin())
    await ask(engine)
    assert not engine.model_ready("m")
    assert not engine.ready()
    assert await states(engine) == [("m", None, "UNAVAILABLE", "")]
    with pytest.raises(ModelNotReady, match=r"Model m is not ready yet\."):
        await ask(engine)
    models[0].ready = True
    await ask(engine)


async def test_a_request_that_does_not_fit_is_refused_before_the_model_sees_it(start, ask):
    seen = []

    class Runtime(Answering):
        async def predict(self, payload):
            seen.append(payload)

    engine = await start(settings(Runtime))
    with pytest.raises(InvalidRequest, match="tensor 'x'"):
        await ask(engine, data=["text"])
    assert seen == []
    assert engine.in_flight.count == 0


async def test_requests_in_flight_are_counted_and_forgotten_after_answers(start, ask):
    entered, go = asyncio.Event(), asyncio.Event()

    class Runtime(Answering):
        async def predict(self, payload):
            entered.set()
            await go.wait()
            return await super().predict(payload)

    engine = await start(settings(Runtime))
    asked = asyncio.ensure_future(ask(engine))
    await entered.wait()
    assert engine.in_flight.count == 1
    go.set()
    await asked
    assert engine.in_flight.count == 0


async def test_requests_in_flight_are_forgotten_after_errors(start, ask):
    class Runtime(Answering):
        async def predict(self, payload):
            raise ValueError

    engine = await start(settings(Runtime))
    for _ in range(3):
        with pytest.raises(RuntimeFailed):
            await ask(engine)
    assert engine.in_flight.count == 0


async def test_requests_in_flight_are_forgotten_after_cancellation(start, ask):
    entered = asyncio.Event()

    class Runtime(Answering):
        async def predict(self, payload):
            entered.set()
            await asyncio.Event().wait()

    engine = await start(settings(Runtime))
    asked = asyncio.ensure_future(ask(engine))
    await entered.wait()
    asked.cancel()
    await asyncio.wait([asked])
    assert asked.cancelled()
    assert engine.in_flight.count == 0


async def test_a_failing_middleware_comes_out_as_an_error_with_a_code(start, ask):
    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry, settings):
            registry.add("broken", lambda model: lambda infer: self.run)

        async def run(self, request, context):
            raise ValueError("a bug")

    engine = await start(settings(), plugin=Plugin())
    with pytest.raises(MLServerError):
        await ask(engine)
    assert engine.in_flight.count == 0


async def test_drained_returns_at_once_when_nothing_is_in_flight(start):
    engine = await start(settings())
    assert await engine.in_flight.drained(0)


async def test_drained_waits_for_the_last_request(start, ask):
    entered, go = asyncio.Event(), asyncio.Event()

    class Runtime(Answering):
        async def predict(self, payload):
            entered.set()
            await go.wait()
            return await super().predict(payload)

    engine = await start(settings(Runtime))
    asked = asyncio.ensure_future(ask(engine))
    await entered.wait()
    assert not await engine.in_flight.drained(0)
    drained = asyncio.ensure_future(engine.in_flight.drained(30))
    go.set()
    assert await drained
    await asked


async def test_the_server_is_ready_once_its_models_are_and_no_more_when_it_stops(start):
    entered, go, engines = asyncio.Event(), asyncio.Event(), []

    class Runtime(Answering):
        async def load(self):
            entered.set()
            await go.wait()

    class Plugin:
        @hookimpl
        def mlserver_server_started(self, server):
            engines.append(server.engine)

    engine = await start(settings())
    assert engine.ready()
    loading = asyncio.ensure_future(engine.models.load_all([settings(Runtime, name="late")]))
    await entered.wait()
    assert not engine.ready()
    assert not engine.model_ready("late")
    assert engine.model_ready("m")
    assert await states(engine) == [("late", None, "LOADING", ""), ("m", None, "READY", "")]
    assert await states(engine, ready=True) == [("m", None, "READY", "")]
    with pytest.raises(ModelNotReady):
        await engine.metadata("late")
    go.set()
    assert await loading == []
    assert engine.ready()
    await engine.models.stop_loading()
    assert not engine.ready()
    assert engine.model_ready("m")


async def test_a_model_that_loads_answers_not_ready(start, ask):
    entered, go = asyncio.Event(), asyncio.Event()

    class Runtime(Answering):
        async def load(self):
            entered.set()
            await go.wait()

    engine = await start()
    loading = asyncio.ensure_future(engine.models.load_all([settings(Runtime)]))
    await entered.wait()
    with pytest.raises(ModelNotReady):
        await ask(engine)
    go.set()
    await loading
    await ask(engine)


async def test_models_load_side_by_side(start):
    together = []
    both = asyncio.Event()

    class Runtime(Answering):
        async def load(self):
            together.append(self.name)
            if len(together) == 2:
                both.set()
            await both.wait()

    engine = await start(settings(Runtime), settings(Runtime, name="n"))
    assert engine.ready()


async def test_a_server_without_models_is_ready_once_it_has_looked(start):
    assert (await start()).ready()


async def test_a_model_that_failed_is_listed_with_its_reason(start, ask):
    class Failing(Answering):
        async def load(self):
            raise ValueError("no weights")

    engine = await start(settings(Failing), settings(name="n"), on_load_error="serve")
    failed = ("m", None, "UNAVAILABLE", "ValueError: no weights")
    assert await states(engine) == [failed, ("n", None, "READY", "")]
    assert await states(engine, ready=True) == [("n", None, "READY", "")]
    assert not engine.ready()
    with pytest.raises(ModelNotReady):
        await ask(engine)


async def test_a_model_is_unknown_to_nobody_after_unload(start, ask):
    engine = await start(settings(version="1"))
    await engine.models.unload_all()
    assert await states(engine) == [("m", "1", "UNAVAILABLE", "")]
    with pytest.raises(ModelNotReady):
        await ask(engine)


@pytest.mark.parametrize(
    ("wanted", "host", "allowed"),
    [
        ("auto", "127.0.0.1", True),
        ("auto", "localhost", True),
        ("auto", "::1", True),
        ("auto", "127.8.9.1", True),
        ("auto", "0.0.0.0", False),
        ("auto", "::", False),
        ("auto", "10.0.0.1", False),
        ("auto", "somewhere.example", False),
        ("on", "0.0.0.0", True),
        ("off", "127.0.0.1", False),
    ],
)
async def test_the_repository_api_is_open_to_this_machine_unless_said_otherwise(
    start, wanted, host, allowed
):
    engine = await start(settings(), model_repository_api=wanted, host=host)
    if allowed:
        assert await states(engine) == [("m", None, "READY", "")]
    else:
        with pytest.raises(PermissionDenied, match="MLSERVER_MODEL_REPOSITORY_API=on"):
            await engine.index()


async def test_metadata_has_the_loaded_versions_oldest_first(start):
    class Failing(Answering):
        async def load(self):
            raise ValueError

    engine = await start(
        settings(version="10"),
        settings(version="9"),
        settings(Failing, version="11"),
        on_load_error="serve",
    )
    assert (await engine.metadata("m")).versions == ["9", "10"]
    with pytest.raises(ModelNotReady):
        await engine.metadata("m", "11")


async def test_metadata_has_the_declared_versions_where_there_are_some(start):
    engine = await start(settings(version="2", versions=["1", "2"], platform="p"))
    metadata = await engine.metadata("m")
    assert (metadata.name, metadata.versions, metadata.platform) == ("m", ["1", "2"], "p")


async def test_metadata_of_an_unversioned_model_has_no_versions(start):
    assert (await (await start(settings())).metadata("m")).versions == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_runtime_may_give_metadata_of_its_own(start, plain):
    async def metadata(self):
        return MetadataModelResponse(name="own", platform="p")

    def plain_metadata(self):
        return MetadataModelResponse(name="own", platform="p")

    runtime = type("Runtime", (Answering,), {"metadata": plain_metadata if plain else metadata})
    engine = await start(settings(runtime, version="3"))
    answered = await engine.metadata("m")
    assert (answered.name, answered.versions) == ("own", ["3"])


async def test_server_metadata_names_server_version_and_extensions(start):
    engine = await start(server_name="s", server_version="9", extensions=["mine"])
    metadata = engine.server_metadata()
    assert (metadata.name, metadata.version) == ("s", "9")
    assert metadata.extensions[-2:] == ["parameters", "mine"]
    assert metadata.extensions[0] == "model_repository"


async def test_two_folders_with_modules_of_one_name_answer_with_their_own_code(
    start, ask, folder_model
):
    code = """
        import pickle
        from importlib import import_module
        from mlserver_core import MLModel
        from mlserver_core.types import InferenceResponse
        from helpers import VALUE

        class Model(MLModel):
            def load(self):
                self.stored = pickle.loads(b"cclasses\\nThing\\n(tR.")

            def predict(self, payload):
                import helpers
                values = [VALUE, helpers.VALUE, import_module("helpers").VALUE, self.stored.home]
                stored = pickle.loads(b"cclasses\\nThing\\n(tR.")
                return InferenceResponse(
                    outputs=[], parameters={"values": ",".join([*values, stored.home])}
                )
    """
    models = []
    for name in ("a", "b"):
        model = folder_model(name, code)
        (model.folder / "helpers.py").write_text(f"VALUE = {name!r}")
        (model.folder / "classes.py").write_text(f"class Thing:\n    home = {name!r}\n")
        models.append(model)
    engine = await start(*models)
    answers = await asyncio.gather(*(ask(engine, name) for name in "abab" * 5))
    values = [answer.parameters.values for answer in answers]
    assert values == [",".join(name * 5) for name in "abab" * 5]


async def test_the_default_predict_says_that_there_is_none(start, ask):
    engine = await start(settings(MLModel))
    with pytest.raises(MLServerError, match=r"MLModel has no predict\(\)"):
        await ask(engine)


@pytest.mark.parametrize("plain", [False, True])
async def test_metadata_that_raises_is_a_failure_of_the_runtime(start, plain):
    async def metadata(self):
        raise ValueError("no signature")

    def plain_metadata(self):
        raise ValueError("no signature")

    methods = {"metadata": plain_metadata if plain else metadata}
    engine = await start(settings(type("Runtime", (Answering,), methods)))
    with pytest.raises(RuntimeFailed, match="ValueError: no signature"):
        await engine.metadata("m")
    assert engine.in_flight.count == 0


async def test_parameters_that_a_runtime_hands_back_send_no_headers_of_the_request(start, ask):
    class Handing(Answering):
        async def predict(self, payload):
            return InferenceResponse(outputs=[], parameters=payload.parameters)

    engine = await start(settings(Handing), cloud_events=False)
    response = await ask(engine, headers={"authorization": "secret"})
    assert response.parameters.headers is None
