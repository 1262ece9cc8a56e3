from __future__ import annotations

import inspect
import json
import typing
from pathlib import Path

import aiohttp
import attrs
import click
import grpclib.client
import pytest
from click.testing import CliRunner

from mlserver_core import MLModel, hookimpl
from mlserver_core.cli.main import Commands
from mlserver_core.codecs import InputCodec, SingleInputRequestCodec
from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.grpc.client import (
    GrpcInferenceServiceStub,
    InferTensorContents,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
)
from mlserver_core.hooks import specs
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse, ResponseOutput

HOOKS = PluginManager.hooks()


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])


def model(implementation=Answering, **fields):
    return ModelSettings(**{"name": "m", "implementation": implementation, **fields})


async def test_hook_register_runtimes_gives_implementation_a_name(start, ask):
    class Plugin:
        @hookimpl
        def mlserver_register_runtimes(self, registry):
            registry.add("mine", "mlserver_core.runtimes.echo.EchoRuntime")

    server = await start(Plugin(), model("mine"))
    assert (await ask(server)).outputs[0].name == "x"


async def test_hook_register_codecs_gives_content_types_a_meaning(start, ask):
    class Shouting(InputCodec):
        ContentType = "shout"
        TypeHint = bytearray

        @classmethod
        def decode_input(cls, request_input):
            return [text.upper() for text in request_input.data]

        @classmethod
        def encode_output(cls, name, payload, **kwargs):
            return ResponseOutput(name=name, datatype="BYTES", shape=[1], data=payload)

    class ShoutingRequest(SingleInputRequestCodec):
        ContentType = "shout"
        InputCodec = Shouting

    class Plugin:
        @hookimpl
        def mlserver_register_codecs(self, input_codecs, request_codecs):
            input_codecs.add("shout", Shouting)
            request_codecs.add("shout", ShoutingRequest)

    class Runtime(MLModel):
        async def predict(self, payload):
            value = self.decode(payload.inputs[0])
            assert value == self.decode_request(payload)
            return InferenceResponse(outputs=[Shouting.encode_output("y", value)])

    settings = model(Runtime, parameters={"content_type": "shout"})
    server = await start(Plugin(), settings)
    answer = await ask(
        server, datatype="BYTES", data=["quiet"], parameters={"content_type": "shout"}
    )
    assert answer.outputs[0].data == ["QUIET"]


async def test_hook_register_executors_gives_executor_a_name(start, ask):
    used = []

    class Noting(InlineExecutor):
        async def predict(self, request):
            used.append(self.settings.name)
            return await InlineExecutor.predict(self, request)

    class Plugin:
        @hookimpl
        def mlserver_register_executors(self, registry):
            registry.add("noting", Noting)

    server = await start(Plugin(), model(executor="noting"), model(name="other"))
    await ask(server)
    await ask(server, "other")
    assert used == ["m"]


async def test_hook_register_repositories_gives_a_scheme_a_meaning(start, ask):
    asked = []

    @attrs.define
    class InMemory:
        root: str

        async def list(self):
            return Listing((model(name="from-memory"),), ("a warning",))

        async def find(self, name):
            return (await self.list()).of(name)

    class Plugin:
        @hookimpl
        def mlserver_register_repositories(self, registry):
            registry.add("memory", self.make)

        def make(self, root, *, strict):
            asked.append((root, strict))
            return InMemory(root)

    server = await start(
        Plugin(), load_models_at_startup=True, model_repository_root="memory://models"
    )
    assert asked == [("memory://models", False)]
    assert (await ask(server, "from-memory")).model_name == "from-memory"


async def test_hook_register_transports_starts_and_stops_a_transport(start, ask):
    steps = []

    class Transport:
        listening = "Mine listening on nothing"

        def __init__(self, settings, engine):
            self.settings, self.engine = settings, engine

        async def start(self):
            steps.append("start")

        async def stop_listening(self):
            steps.append("stop listening")

        async def close(self, seconds):
            steps.append("close")

    class Plugin:
        @hookimpl
        def mlserver_register_transports(self, registry):
            registry.add("mine", Transport)

    server = await start(Plugin(), model())
    transport = server.transports["mine"]
    assert (transport.settings, transport.engine) == (server.settings, server.engine)
    assert steps == ["start"]
    await server.stop()
    assert steps == ["start", "stop listening", "close"]


async def test_hook_register_middlewares_puts_code_around_every_inference(start, ask):
    steps = []

    def middleware(label):
        def make(settings):
            steps.append(f"{label} made for {settings.name}")

            def wrap(infer):
                async def run(request, context):
                    steps.append(label)
                    return await infer(request, context)

                return run

            return wrap

        return make

    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry, settings):
            registry.add("inner", middleware("inner"), after=("outer",))
            registry.add("outer", middleware(f"outer of {settings.server_name}"))

    server = await start(Plugin(), model(), server_name="s")
    assert sorted(steps) == ["inner made for m", "outer of s made for m"]
    steps.clear()
    await ask(server)
    await ask(server)
    assert steps == ["outer of s", "inner"] * 2


async def test_hook_register_middlewares_gives_metrics_to_count_with(start, ask, scrape):
    given = []

    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry, metrics):
            given.append(metrics)
            if metrics is None:
                return
            calls = metrics.counter("my_calls", "Calls.")
            size = metrics.gauge("my_size", "Size of the last request.")
            with pytest.raises(ValueError, match="Duplicated"):
                metrics.counter("my_calls", "Calls.")

            def make(settings):
                labels = (settings.name, settings.version or "")

                def wrap(infer):
                    async def run(request, context):
                        calls.labels(*labels).inc()
                        size.labels(*labels).set(len(request.inputs[0].data))
                        return await infer(request, context)

                    return run

                return wrap

            registry.add("counting", make)

    server = await start(Plugin(), model(), model(name="other"))
    await ask(server)
    await ask(server, "other")
    labels = {"model_name": "m", "model_version": ""}
    assert scrape(server.engine).value("my_calls_total", **labels) == 1
    assert scrape(server.engine).value("my_size", **labels) == 1
    await server.engine.unload_model("m")
    for name in ("my_calls_total", "my_size"):
        assert [each["model_name"] for each in scrape(server.engine).series(name)] == ["other"]
    await start(Plugin(), model(), metrics_endpoint="")
    assert given[1] is None


def test_hook_add_commands_adds_a_subcommand():
    @click.command("greet")
    def greet():
        click.echo("hello")

    class Plugin:
        @hookimpl
        def mlserver_add_commands(self, commands):
            commands.add_command(greet)

    manager = PluginManager()
    manager.register("mine", Plugin())
    commands = Commands(name="mlserver")
    manager.collect("mlserver_add_commands", commands=commands)
    assert CliRunner().invoke(commands, ["greet"]).output == "hello\n"


async def test_hook_server_started_comes_when_the_server_answers(start, ask):
    seen = []

    class Plugin:
        @hookimpl
        def mlserver_server_started(self, server):
            ports = [transport.port for transport in server.transports.values()]
            seen.append((server, server.engine.ready(), all(ports) and len(ports)))

    server = await start(Plugin(), model(), transports=True)
    assert seen == [(server, True, 3)]


async def test_hook_server_stopping_comes_while_the_server_still_answers(start):
    seen = []

    class Plugin:
        @hookimpl
        def mlserver_server_stopping(self, server):
            seen.append((server, server.engine.ready(), server.engine.model_ready("m")))

    server = await start(Plugin(), model())
    assert seen == []
    await server.stop()
    await server.stop()
    assert seen == [(server, True, True)]


async def test_hook_model_loaded_comes_before_the_model_answers(start):
    seen = []

    class Plugin:
        @hookimpl
        def mlserver_model_loaded(self, model):
            seen.append((type(model), model.name, model.ready))

    class Failing(MLModel):
        async def load(self):
            return False

    await start(Plugin(), model(), model(Failing, name="failing"), on_load_error="serve")
    assert seen == [(Answering, "m", True)]


async def test_hook_model_unloaded_comes_after_unload_of_the_model(start):
    steps = []

    class Runtime(Answering):
        async def unload(self):
            steps.append("unload")

    class Plugin:
        @hookimpl
        def mlserver_model_unloaded(self, model):
            steps.append(model.name)

    server = await start(Plugin(), model(Runtime))
    await server.stop()
    assert steps == ["unload", "m"]


@pytest.mark.parametrize(
    "hook",
    [name for name in HOOKS if name.split("_")[1] in ("server", "model")],
)
async def test_an_event_hook_that_fails_changes_nothing(start, ask, caplog, hook):
    def fail(self):
        raise ValueError("no")

    plugin = type("Plugin", (), {hook: hookimpl(fail)})()
    server = await start(plugin, model())
    await ask(server)
    await server.stop()
    assert f"Plugin 'of-the-test' failed in hook {hook}" in caplog.messages


async def test_no_hook_is_called_while_serving(start, ask):
    server = await start(None, model("echo"), transports=True)
    calls = []
    server.plugins.monitor(
        lambda hook, *_: calls.append(hook), lambda outcome, hook, *_: calls.append(hook)
    )
    assert len((await ask(server)).outputs) == 1
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}
    url = f"http://127.0.0.1:{server.transports['rest'].port}/v2/models/m"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/infer", json=body) as answer:
            assert json.loads(await answer.text())["outputs"][0]["data"] == [1.5]
        async with session.get(url) as answer:
            assert answer.status == 200
    channel = grpclib.client.Channel("127.0.0.1", server.transports["grpc"].port)
    try:
        tensor = ModelInferRequestInferInputTensor(
            name="x", datatype="FP64", shape=[1], contents=InferTensorContents(fp64_contents=[1.5])
        )
        reply = await GrpcInferenceServiceStub(channel).model_infer(
            ModelInferRequest(model_name="m", inputs=[tensor])
        )
        assert reply.outputs[0].contents.fp64_contents == [1.5]
    finally:
        channel.close()
    assert calls == []
    await server.stop()
    assert "mlserver_server_stopping" in calls


def test_every_hook_has_a_test_of_its_own():
    tests = [name for name in globals() if name.startswith("test_hook_")]
    missing = [
        hook
        for hook in HOOKS
        if not any(name.startswith("test_hook_" + hook.removeprefix("mlserver_")) for name in tests)
    ]
    assert missing == []


def test_there_are_hooks():
    assert len(HOOKS) >= 11


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_when_it_is_called_what_it_gets_and_what_it_may_raise(hook):
    spec = getattr(specs, hook)
    parameters = inspect.signature(spec).parameters
    documented = inspect.getdoc(spec)
    assert documented.startswith("Called ")
    arguments = documented.partition("Args:")[2].partition("Raises:")[0]
    for name in parameters:
        assert f"\n    {name}: " in arguments
    assert "\nRaises:\n" in documented
    assert "\nExample plugin" in documented


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_typed_arguments_and_returns_nothing(hook):
    signature = inspect.signature(getattr(specs, hook))
    assert signature.return_annotation == "None"
    assert signature.parameters
    for parameter in signature.parameters.values():
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert parameter.default is inspect.Parameter.empty
        assert parameter.annotation is not inspect.Parameter.empty
        assert "Any" not in parameter.annotation


def test_the_types_of_all_hooks_exist():
    source = Path(specs.__file__).read_text().replace("if TYPE_CHECKING:", "if True:")
    namespace = {"__name__": "specs_with_types"}
    exec(compile(source, specs.__file__, "exec"), namespace)
    for hook in HOOKS:
        assert typing.get_type_hints(namespace[hook], namespace)
