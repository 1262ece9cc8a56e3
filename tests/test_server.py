"""A server inside another program."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading

import aiohttp
import grpclib.client
import grpclib.const
import grpclib.exceptions
import pytest

from mlserver_core import MLModel, MLServer, ModelSettings, Settings, hookimpl
from mlserver_core.errors import SettingsError, StartupError, Unavailable
from mlserver_core.grpc._generated.dataplane import RepositoryIndexRequest
from mlserver_core.grpc.client import (
    GrpcInferenceServiceStub,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
)
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver_core.types.context import RequestContext

LONG = 120
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])


class Failing(MLModel):
    async def load(self):
        raise ValueError("no weights")


def model(implementation=Answering, **fields):
    return ModelSettings(**{"name": "m", "implementation": implementation, **fields})


def built_in(environ=None):
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, environ or {})
    return plugins


@pytest.fixture
async def make():
    """Makes servers on free ports that list no models; they are stopped at the end."""
    servers = []

    def make_server(*, plugins=None, strict=False, **settings):
        values = {"http_port": 0, "grpc_port": 0, "metrics_port": 0, **settings}
        values.setdefault("load_models_at_startup", False)
        server = MLServer(Settings(**values), plugins=plugins or built_in(), strict=strict)
        servers.append(server)
        return server

    yield make_server
    for server in servers:
        await server.stop()


class Bell:
    """A transport, and its plugin, that says when the listeners have been told to stop."""

    listening = "a bell"
    port = 0

    def __init__(self):
        self.rung = asyncio.Event()

    @hookimpl
    def mlserver_register_transports(self, registry):
        registry.add("bell", lambda settings, engine: self)

    async def start(self): ...

    async def stop_listening(self):
        self.rung.set()

    async def close(self, seconds): ...


def with_bell():
    """The built-in plugins and a bell."""
    plugins, bell = built_in(), Bell()
    plugins.register("bell", bell)
    return plugins, bell


def url(server, path="/v2/models/m/infer"):
    return f"http://127.0.0.1:{server.transports['rest'].port}{path}"


async def fetch(server, path, body=None):
    """The status and the JSON of a REST answer."""
    async with aiohttp.ClientSession() as session:
        sent = (
            session.get(url(server, path))
            if body is None
            else session.post(url(server, path), json=body)
        )
        async with sent as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ports(server):
    return [transport.port for transport in server.transports.values()]


class Gate:
    """Holds up a model until the test lets it go on; says when it has come so far."""

    def __init__(self):
        self.entered, self.open = asyncio.Event(), asyncio.Event()

    async def wait(self):
        self.entered.set()
        await self.open.wait()


def gated(gate, answer=None):
    class Runtime(MLModel):
        async def predict(self, payload):
            await gate.wait()
            return answer() if answer else InferenceResponse(outputs=[])

    return Runtime


async def test_two_servers_in_one_process_share_nothing(make):
    class One(Answering):
        async def load(self):
            self.ready = True

    first, second = make(server_name="first"), make(server_name="second")
    await first.startup([model(One), model(name="mine")])
    await second.startup([model("echo")])
    assert len({*ports(first), *ports(second)}) == 6
    assert (await fetch(first, "/v2/models/m/infer", REQUEST))[1]["outputs"] == []
    assert len((await fetch(second, "/v2/models/m/infer", REQUEST))[1]["outputs"]) == 1
    assert (await fetch(first, "/v2/models/mine"))[0] == 200
    assert (await fetch(second, "/v2/models/mine"))[0] == 404
    assert (await fetch(first, "/v2"))[1]["name"] == "first"
    assert (await fetch(second, "/v2"))[1]["name"] == "second"
    await first.stop()
    assert not any(map(is_open, ports(first)))
    assert (await fetch(second, "/v2/health/ready"))[0] == 200


async def test_a_server_is_a_context_manager(make, tmp_path):
    async with make(load_models_at_startup=True, model_repository_root=str(tmp_path)) as server:
        assert (await fetch(server, "/v2/health/ready"))[0] == 200
    assert not any(map(is_open, ports(server)))


def test_a_server_may_be_made_outside_the_event_loop():
    server = MLServer(
        Settings(http_port=0, grpc_port=0, metrics_port=0, load_models_at_startup=False),
        plugins=built_in(),
    )

    async def run():
        await server.startup()
        await server.stop()

    asyncio.run(run())


async def test_start_serves_until_stop(make):
    started = asyncio.Event()

    class Plugin:
        @hookimpl
        def mlserver_server_started(self, server):
            started.set()

    plugins = built_in()
    plugins.register("of-the-test", Plugin())
    server = make(plugins=plugins)
    running = asyncio.ensure_future(server.start([model()]))
    await started.wait()
    assert (await fetch(server, "/v2/health/ready"))[0] == 200
    assert not running.done()
    await server.stop()
    await asyncio.wait_for(running, LONG)


async def test_stop_twice_is_one_stop(make):
    stopped = []

    class Runtime(Answering):
        async def unload(self):
            stopped.append(self.name)

    server = make()
    await server.startup([model(Runtime)])
    await asyncio.gather(server.stop(), server.stop(signal.SIGTERM))
    await server.stop()
    await server.wait_stopped()
    assert stopped == ["m"]


async def test_a_stop_whose_caller_goes_away_goes_on(make):
    gate = Gate()
    server = make()
    await server.startup([model(gated(gate))])
    asked = asyncio.ensure_future(fetch(server, "/v2/models/m/infer", REQUEST))
    await gate.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    gate.open.set()
    assert (await asked)[0] == 200
    await asyncio.wait_for(server.wait_stopped(), LONG)
    assert not any(map(is_open, ports(server)))


async def test_stop_before_start_does_nothing(make):
    server = make()
    await server.stop()
    await server.wait_stopped()


async def test_stop_unloads_models_and_closes_ports(make):
    server = make()
    await server.startup([model()])
    assert all(map(is_open, ports(server)))
    await server.stop()
    assert not any(map(is_open, ports(server)))
    with pytest.raises(Unavailable, match="the server is stopping"):
        await server.engine.infer("m", None, InferenceRequest(inputs=[]), RequestContext())


async def test_stop_while_a_model_loads_ends_start(make):
    gate = Gate()

    class Runtime(Answering):
        async def load(self):
            await gate.wait()

    server = make(shutdown_grace_period=0)
    running = asyncio.ensure_future(server.start([model(Runtime)]))
    await gate.entered.wait()
    try:
        await asyncio.wait_for(server.stop(), LONG)
        done, _ = await asyncio.wait([running], timeout=5)
        assert done, "start() goes on although the server has stopped"
    finally:
        gate.open.set()
        await asyncio.wait([running])
    assert not any(entry.ready for entry in server.engine.models.table)


class Endless:
    """A repository that never says what it has, once it is asked for the ``last`` time, and its
    plugin.
    """

    def __init__(self, last):
        self.left, self.entered = last, asyncio.Event()

    @hookimpl
    def mlserver_register_repositories(self, registry):
        registry.add("endless", lambda root, strict: self)

    async def list(self):
        self.left -= 1
        if self.left == 0:
            self.entered.set()
            await asyncio.Event().wait()
        return Listing((model(),))

    @classmethod
    def serve(cls, make, last):
        """The repository, and a server of it that has much patience."""
        plugins, repository = built_in(), cls(last)
        plugins.register("endless", repository)
        settings = {"load_models_at_startup": True, "model_repository_root": "endless://"}
        return repository, make(plugins=plugins, shutdown_grace_period=600, **settings)


async def test_a_listing_at_start_that_never_returns_does_not_hold_up_the_stop(make):
    repository, server = Endless.serve(make, last=1)
    running = asyncio.ensure_future(server.start())
    await repository.entered.wait()
    await asyncio.wait_for(server.stop(), LONG)
    await asyncio.wait_for(running, LONG)
    assert not any(map(is_open, filter(None, ports(server))))


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_an_index_that_never_returns_is_given_up_when_the_server_stops(make, transport):
    repository, server = Endless.serve(make, last=2)
    await server.startup()
    asking = asyncio.ensure_future(
        fetch(server, "/v2/repository/index", {})
        if transport == "rest"
        else ask_grpc(server, "repository_index", RepositoryIndexRequest())
    )
    await repository.entered.wait()
    await asyncio.wait_for(server.stop(), LONG)
    if transport == "rest":
        assert await asking == (503, {"error": "the server is stopping"})
    else:
        with pytest.raises(grpclib.exceptions.GRPCError, match="the server is stopping") as refused:
            await asking
        assert refused.value.status is grpclib.const.Status.UNAVAILABLE


@pytest.mark.parametrize("stage", ["listing", "listening"])
async def test_stop_before_models_load_ends_start_and_leaves_nothing_open(make, stage):
    gate = Gate()

    class Repository:
        async def list(self):
            if stage == "listing":
                await gate.wait()
            return Listing((model(),))

    class Late(Bell):
        @hookimpl
        def mlserver_register_repositories(self, registry):
            registry.add("late", lambda root, strict: Repository())

        async def start(self):
            if stage == "listening":
                await gate.wait()

    plugins = built_in()
    plugins.register("late", Late())
    settings = {"load_models_at_startup": True, "model_repository_root": "late://"}
    server = make(plugins=plugins, **settings)
    running = asyncio.ensure_future(server.start())
    await gate.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.wait([stopping], timeout=0.1)
    gate.open.set()
    await asyncio.wait_for(asyncio.gather(running, stopping), LONG)
    assert not any(map(is_open, filter(None, ports(server))))


@pytest.mark.parametrize(
    ("transport", "setting"),
    [("REST", "http_port"), ("gRPC", "grpc_port"), ("Metrics", "metrics_port")],
)
async def test_a_taken_port_is_refused_with_the_setting_and_leaves_nothing_open(
    make, transport, setting
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = make(**{setting: port})
        with pytest.raises(StartupError) as refused:
            await server.startup([model()])
        text = str(refused.value)
        assert text.startswith(f"{transport} cannot listen on 127.0.0.1:{port}: ")
        assert "address already in use" in text.lower()
        option = setting.replace("_", "-")
        assert f"set {setting} (MLSERVER_{setting.upper()}, --{option}) to a free port" in text
    assert not any(is_open(each) for each in ports(server) if each)
    assert server.engine.in_flight.count == 0


async def test_an_address_that_is_not_of_this_machine_is_refused_with_the_setting(make):
    server = make(host="192.0.2.1")  # reserved for documentation
    with pytest.raises(StartupError) as refused:
        await server.startup([model()])
    assert "192.0.2.1" in str(refused.value)
    assert "set host (MLSERVER_HOST, --host)" in str(refused.value)


async def test_a_model_that_fails_to_load_stops_the_server(make):
    unloaded = []

    class Runtime(Answering):
        async def unload(self):
            unloaded.append(self.name)

    server = make()
    with pytest.raises(StartupError) as refused:
        await server.startup([model(Runtime), model(Failing, name="f"), model("ecco", name="e")])
    lines = str(refused.value).splitlines()
    assert lines[0] == "model 'f' failed to load: ValueError: no weights"
    assert lines[1].startswith("model 'e' failed to load: there is no runtime 'ecco'")
    assert all(ports(server))
    assert not any(map(is_open, ports(server)))
    assert unloaded == ["m"]
    await asyncio.wait_for(server.wait_stopped(), LONG)


async def test_on_load_error_serve_keeps_the_others_serving_and_the_server_unready(make):
    server = make(on_load_error="serve")
    await server.startup([model(), model(Failing, name="f")])
    assert (await fetch(server, "/v2/models/m/infer", REQUEST))[0] == 200
    assert (await fetch(server, "/v2/models/m/ready"))[0] == 200
    assert (await fetch(server, "/v2/models/f/ready"))[0] == 400
    assert (await fetch(server, "/v2/health/ready"))[0] == 400
    assert (await fetch(server, "/v2/health/live"))[0] == 200


def repository(root, **models):
    """Writes model folders with settings."""
    for name, values in models.items():
        (root / name).mkdir()
        (root / name / "model-settings.json").write_text(json.dumps(values))
    return str(root)


async def test_the_models_of_the_repository_are_served(make, tmp_path):
    root = repository(tmp_path, m={"implementation": "echo"}, n={"implementation": "echo"})
    server = make(load_models_at_startup=True, model_repository_root=root)
    await server.startup()
    assert [item.name for item in await server.engine.index()] == ["m", "n"]
    assert (await fetch(server, "/v2/models/n/infer", REQUEST))[1]["model_name"] == "n"


async def test_models_that_are_given_stand_in_for_those_of_the_repository(make, tmp_path):
    root = repository(tmp_path, n={"implementation": "echo"})
    server = make(load_models_at_startup=True, model_repository_root=root)
    await server.startup([model()])
    assert [item.name for item in await server.engine.index()] == ["m"]


async def test_no_model_is_loaded_when_load_models_at_startup_is_false(make, tmp_path):
    root = repository(tmp_path, n={"nonsense": True})
    server = make(load_models_at_startup=False, model_repository_root=root)
    await server.startup()
    [item] = await server.engine.index()
    assert (item.name, item.state) == ("n", "UNAVAILABLE")
    assert (await fetch(server, "/v2/health/ready"))[0] == 200


async def test_settings_of_a_model_that_cannot_be_used_stop_the_start(make, tmp_path):
    root = repository(tmp_path, m={"name": "m"})
    server = make(load_models_at_startup=True, model_repository_root=root)
    with pytest.raises(SettingsError, match="implementation: required, but missing"):
        await server.startup()
    assert not any(ports(server))
    await asyncio.wait_for(server.wait_stopped(), LONG)


async def test_an_unknown_key_warns_or_with_strict_stops_the_start(make, tmp_path, caplog):
    root = repository(tmp_path, m={"implementation": "echo", "implementaton": "x"})
    options = {"load_models_at_startup": True, "model_repository_root": root}
    await make(**options).startup()
    assert "implementaton: unknown key; did you mean 'implementation'?" in caplog.text
    with pytest.raises(SettingsError, match="implementaton"):
        await make(strict=True, **options).startup()


async def test_a_repository_that_no_plugin_reads_is_refused_with_the_known_ones(make):
    server = make(load_models_at_startup=True, model_repository_root="s3://bucket")
    with pytest.raises(StartupError) as refused:
        await server.startup()
    assert str(refused.value) == (
        "model_repository_root 's3://bucket': no plugin reads 's3'; known are file"
    )


async def test_the_server_listens_before_models_load_and_is_not_ready_until_then(make):
    gate = Gate()

    class Runtime(Answering):
        async def load(self):
            await gate.wait()

    server = make()
    starting = asyncio.ensure_future(server.startup([model(Runtime)]))
    await gate.entered.wait()
    assert (await fetch(server, "/v2/health/live"))[0] == 200
    assert (await fetch(server, "/v2/health/ready"))[0] == 400
    assert (await fetch(server, "/v2/models/m/infer", REQUEST))[0] == 400
    gate.open.set()
    await starting
    assert (await fetch(server, "/v2/health/ready"))[0] == 200


async def test_a_start_that_is_cancelled_leaves_nothing_open(make):
    gate = Gate()

    class Runtime(Answering):
        async def load(self):
            await gate.wait()

    server = make()
    starting = asyncio.ensure_future(server.startup([model(Runtime)]))
    await gate.entered.wait()
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert not any(map(is_open, ports(server)))


async def test_the_ports_and_lines_are_the_real_ones(make):
    server = make()
    await server.startup([model()])
    rest, grpc, metrics = (server.transports[name] for name in ("rest", "grpc", "metrics"))
    assert rest.listening == f"REST server listening on http://127.0.0.1:{rest.port}"
    assert grpc.listening == f"gRPC server listening on 127.0.0.1:{grpc.port}"
    assert metrics.listening == (
        f"Metrics server listening on http://127.0.0.1:{metrics.port}/metrics"
    )
    assert 0 not in ports(server)


async def test_the_same_port_can_be_used_again_after_a_stop(make):
    first = make()
    await first.startup([model()])
    async with aiohttp.ClientSession() as session, session.get(url(first, "/v2")) as answer:
        assert answer.status == 200
    await first.stop()
    names = ("http_port", "grpc_port", "metrics_port")
    second = make(**dict(zip(names, ports(first), strict=True)))
    await second.startup([model()])
    assert ports(second) == ports(first)


async def test_a_blocked_transport_does_not_listen(make):
    server = make(plugins=built_in({"MLSERVER_BLOCK_PLUGINS": "grpc"}))
    await server.startup([model()])
    assert list(server.transports) == ["rest", "metrics"]


async def test_a_rest_request_in_flight_at_stop_is_answered(make):
    gate = Gate()
    plugins, bell = with_bell()
    server = make(plugins=plugins)
    await server.startup([model(gated(gate))])
    asked = asyncio.ensure_future(fetch(server, "/v2/models/m/infer", REQUEST))
    await gate.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await bell.rung.wait()
    assert not stopping.done()
    gate.open.set()
    assert (await asked)[0] == 200
    await stopping


async def ask_grpc(server, method="model_infer", request=None):
    channel = grpclib.client.Channel("127.0.0.1", server.transports["grpc"].port)
    try:
        tensor = ModelInferRequestInferInputTensor(name="x", datatype="FP64", shape=[0])
        return await getattr(GrpcInferenceServiceStub(channel), method)(
            request or ModelInferRequest(model_name="m", inputs=[tensor])
        )
    finally:
        channel.close()


async def test_a_grpc_request_in_flight_at_stop_is_answered(make):
    gate = Gate()
    plugins, bell = with_bell()
    server = make(plugins=plugins)
    await server.startup([model(gated(gate))])
    asked = asyncio.ensure_future(ask_grpc(server))
    await gate.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await bell.rung.wait()
    gate.open.set()
    assert (await asked).model_name == "m"
    await stopping


def large():
    data = ["x" * 2**16] * 256  # more than any socket's buffer holds
    return InferenceResponse(
        outputs=[ResponseOutput(name="y", datatype="BYTES", shape=[len(data)], data=data)]
    )


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_a_large_answer_of_a_request_in_flight_at_stop_arrives_whole(make, transport):
    gate = Gate()
    plugins, bell = with_bell()
    server = make(plugins=plugins)
    await server.startup([model(gated(gate, large))])
    if transport == "rest":
        asked = asyncio.ensure_future(fetch(server, "/v2/models/m/infer", REQUEST))
    else:
        asked = asyncio.ensure_future(ask_grpc(server))
    await gate.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await bell.rung.wait()
    gate.open.set()
    answer = await asyncio.wait_for(asked, 10)
    if transport == "rest":
        assert answer[0] == 200
        assert len(answer[1]["outputs"][0]["data"]) == 256
    else:
        assert len(answer.outputs[0].contents.bytes_contents) == 256
    await stopping


async def test_a_request_that_outlasts_the_grace_period_is_given_up_with_a_warning(make, caplog):
    gate = Gate()
    server = make(shutdown_grace_period=0)
    await server.startup([model(gated(gate))])
    asked = asyncio.ensure_future(fetch(server, "/v2/models/m/infer", REQUEST))
    await gate.entered.wait()
    await asyncio.wait_for(server.stop(), LONG)
    assert await asked == (503, {"error": "the server is stopping"})
    assert "1 request(s) did not finish within shutdown_grace_period (0 seconds)" in caplog.text
    assert server.engine.in_flight.count == 0


async def test_a_thread_that_never_returns_does_not_hold_up_the_stop(make):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    class Runtime(MLModel):
        def predict(self, payload):
            loop.call_soon_threadsafe(entered.set)
            go.wait()

        def unload(self):
            return True

    server = make(shutdown_grace_period=0)
    await server.startup([model(Runtime)])
    asked = asyncio.ensure_future(fetch(server, "/v2/models/m/infer", REQUEST))
    await entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    try:
        done, _ = await asyncio.wait([stopping], timeout=5)
        assert done, "stop() waits for the thread"
    finally:
        go.set()
        await asyncio.wait([stopping, asked])
    assert await asked == (503, {"error": "the server is stopping"})


async def test_a_connection_that_is_kept_open_does_not_hold_up_the_stop(make):
    server = make()
    await server.startup([model()])
    async with aiohttp.ClientSession() as session:
        async with session.get(url(server, "/v2")) as answer:
            await answer.read()
        await asyncio.wait_for(server.stop(), LONG)
        with pytest.raises(aiohttp.ClientError):
            await session.get(url(server, "/v2"))


async def test_a_transport_that_fails_to_close_leaves_no_other_open(make):
    class Broken:
        listening = "broken"
        port = 0

        async def start(self): ...

        async def stop_listening(self):
            raise ValueError("stuck")

        async def close(self, seconds):
            raise ValueError("stuck")

    class Plugin:
        @hookimpl
        def mlserver_register_transports(self, registry):
            registry.add("broken", lambda settings, engine: Broken())

    plugins = PluginManager()
    plugins.register("of-the-test", Plugin())
    plugins.load(BUILTIN_PLUGINS, {})
    server = make(plugins=plugins)
    await server.startup([model()])
    await asyncio.gather(server.stop(), return_exceptions=True)
    server._stopping = asyncio.ensure_future(asyncio.sleep(0))  # for the end of the test
    still_open = [port for port in ports(server) if port and is_open(port)]
    for name in ("rest", "grpc"):
        await server.transports[name].close(0)
    assert still_open == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_stop_the_server_where_it_is_asked_to_listen_to_them(make, number, caplog):
    caplog.set_level("INFO", "mlserver")
    server = make()
    server.stop_on_signals()
    await server.startup([model()])
    signal.raise_signal(number)
    await asyncio.wait_for(server.wait_stopped(), LONG)
    assert f"Stopping on {number.name}; another signal stops at once" in caplog.messages


async def test_a_stopping_server_refuses_new_requests_and_says_when_to_come_back(make):
    server = make()
    await server.startup([model()])
    await server.engine.models.stop_loading()  # the first thing that a stop does
    async with (
        aiohttp.ClientSession() as session,
        session.post(url(server, "/v2/models/m/infer"), json=REQUEST) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert await answer.json() == {"error": "the server is stopping"}
    with pytest.raises(grpclib.exceptions.GRPCError) as refused:
        await ask_grpc(server)
    assert refused.value.status is grpclib.const.Status.UNAVAILABLE
