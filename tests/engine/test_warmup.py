"""What a model answers before it is ready."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request

import numpy as np
import pytest

from mlserver_core import MLModel, ModelSettings, hookimpl, request_context
from mlserver_core.errors import StartupError
from mlserver_core.settings.loading import load_model_settings
from mlserver_core.types import InferenceResponse

TENSOR = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}
CODE = """
import mlserver_core
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    asked = ()

    def predict(self, payload):
        self.asked = (*self.asked, payload)
        assert not self.ready
        [tensor] = payload.inputs
        if tensor.data[0] < 0:
            raise ValueError(f"{tensor.data[0]} has no root")
        return InferenceResponse(outputs=[])
"""


class Noting(MLModel):
    """Notes what it is asked, and in which context."""

    asked, contexts = (), ()

    async def predict(self, payload):
        self.asked = (*self.asked, payload)
        self.contexts = (*self.contexts, request_context())
        return InferenceResponse(outputs=[])


def model(implementation=Noting, **fields):
    values = {"name": "m", "implementation": implementation, "warmup": True}
    if "inputs" not in fields:
        fields["inputs"] = [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}]
    return ModelSettings(**values | fields)


def loaded(engine, name="m"):
    return engine.models.table.find(name).serving.model


@pytest.fixture
def refusal(start):
    """Why a server does not start with a model."""

    async def why(settings, **server):
        with pytest.raises(StartupError) as caught:
            await start(settings, **server)
        return str(caught.value)

    return why


async def test_files_are_asked_one_after_the_other_before_the_model_is_ready(
    start, folder_model, write
):
    settings = folder_model("m", CODE, "models.Model", warmup=["a.json", "more/b.json"])
    for name, value, id in (("a", 1.0, "7"), ("more/b", 2.0, None)):
        tensor = TENSOR | {"data": [value, 0.0], "parameters": {"content_type": "np"}}
        write(f"m/{name}.json", json.dumps({"id": id, "inputs": [tensor]}))
    engine = await start(settings)
    asked = loaded(engine).asked
    assert [each.inputs[0].data[0] for each in asked] == [1.0, 2.0]
    assert [each.id for each in asked] == ["7", "more/b.json"]
    assert all(isinstance(each.inputs[0].data.root, np.ndarray) for each in asked)
    assert engine.model_ready("m")


async def test_it_runs_again_for_each_load(start):
    engine = await start(model())
    before = loaded(engine)
    await engine.load_model("m")
    assert loaded(engine) is not before
    assert len(loaded(engine).asked) == 1


@pytest.mark.parametrize("warmup", [False, []])
async def test_without_warmup_nothing_is_asked(start, warmup):
    assert loaded(await start(model(warmup=warmup))).asked == ()


async def test_true_asks_with_every_declared_input_as_zeros_of_the_smallest_shape(start):
    inputs = [
        {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "b", "datatype": "BYTES", "shape": [2, -1]},
        {"name": "c", "datatype": "BF16", "shape": []},
        {"name": "d", "datatype": "BOOL", "shape": [0, 2]},
    ]
    [request] = loaded(await start(model(inputs=inputs, strict_inputs=True))).asked
    assert [each.name for each in request.inputs] == ["a", "b", "c", "d"]
    assert [each.shape for each in request.inputs] == [[1, 3], [2, 1], [], [0, 2]]
    a, b, c, d = (each.data.root for each in request.inputs)
    assert (a.dtype, a.tolist()) == (np.float32, [[0.0, 0.0, 0.0]])
    assert b == ["", ""]
    assert (c.dtype.name, d.dtype, d.size) == ("bfloat16", bool, 0)


async def test_inputs_that_load_declares_count(start):
    class Declaring(Noting):
        async def load(self):
            self.inputs = [{"name": "late", "datatype": "INT8", "shape": [-1]}]

    [request] = loaded(await start(model(Declaring, inputs=[]))).asked
    assert request.inputs[0].name == "late"


async def test_true_without_declared_inputs_is_a_failed_load_that_says_what_to_add(refusal):
    text = await refusal(model(inputs=[]))
    assert "warmup is true, but the model declares no inputs" in text
    assert 'add "inputs" to its model-settings.json, or list files' in text


async def test_the_model_sees_where_the_request_comes_from(start):
    [context] = loaded(await start(model())).contexts
    assert context.transport == "warmup"
    assert (context.headers, context.deadline, context.batch) == ({}, None, ())
    assert context.request_id == "the request made from the declared inputs"


async def test_no_middleware_sees_it_and_no_request_metric_counts_it(start, scrape, ask):
    seen = []

    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry):
            def middleware(settings):
                def wrap(infer):
                    async def run(request, context):
                        seen.append(context.transport)
                        return await infer(request, context)

                    return run

                return wrap

            registry.add("noting", middleware)

    engine = await start(model(cache_enabled=True), plugin=Plugin(), cache_enabled=True)
    labels = {"model": "m", "version": ""}
    assert scrape(engine).value("model_infer_request_success_total", **labels) == 0
    assert scrape(engine).value("model_infer_request_duration_count", **labels) == 0
    labels = {"model_name": "m", "model_version": ""}
    assert scrape(engine).value("response_cache_entries", **labels) == 0
    await ask(engine)
    assert seen == ["engine"]


@pytest.mark.parametrize("both", [False, True])
async def test_a_model_of_streams_alone_is_asked_for_a_stream_until_its_end(start, both):
    class Streaming(MLModel):
        steps = ()

        async def predict_stream(self, payloads):
            async for payload in payloads:
                for step in ("first", "second"):
                    self.steps = (*self.steps, f"{step} of {payload.inputs[0].name}")
                    yield InferenceResponse(outputs=[])
            self.steps = (*self.steps, "end")

    async def predict(self, payload):
        self.steps = (*self.steps, "predict")
        return InferenceResponse(outputs=[])

    runtime = type("Both", (Streaming,), {"predict": predict}) if both else Streaming
    expected = ("predict",) if both else ("first of x", "second of x", "end")
    assert loaded(await start(model(runtime))).steps == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "warmup: one.json: cannot be read: No such file or directory"),
        ("{", "warmup: one.json: is not valid JSON: unexpected end of data: line 1"),
        ("[]", "warmup: one.json: expected an object, got a list"),
        ("{}", "warmup: one.json: inputs: required, but missing"),
        ("", "warmup: one.json: is not valid JSON: "),
        ('{"inputs": 1}', "warmup: one.json: inputs: expected a list, got 1"),
        ({"inputs": [TENSOR | {"shape": [3]}]}, "warmup: one.json: tensor 'x': shape [3] expects"),
        (
            {"inputs": [TENSOR | {"data": [-4, 0]}]},
            "warmup: one.json: ValueError: -4.0 has no root",
        ),
    ],
)
async def test_what_fails_is_a_failed_load_that_names_the_file_and_why(
    refusal, folder_model, write, text, reason
):
    settings = folder_model("m", CODE, "models.Model", warmup=["good.json", "one.json"])
    write("m/good.json", json.dumps({"inputs": [TENSOR]}))
    if text is not None:
        write("m/one.json", text if isinstance(text, str) else json.dumps(text))
    assert f"model 'm' failed to load: {reason}" in await refusal(settings, error_detail=False)


async def test_a_request_that_strict_inputs_refuse_fails_the_load(refusal, folder_model, write):
    inputs = [{"name": "y", "datatype": "FP64", "shape": [2]}]
    settings = folder_model(
        "m", CODE, "models.Model", warmup=["one.json"], inputs=inputs, strict_inputs=True
    )
    write("m/one.json", json.dumps({"inputs": [TENSOR]}))
    assert "warmup: one.json: the model takes the inputs y, got x" in await refusal(settings)


async def test_a_model_that_fails_is_unloaded_and_the_earlier_one_goes_on(start, ask):
    class Moody(Noting):
        loads, unloaded = 0, 0

        async def load(self):
            Moody.loads += 1

        async def predict(self, payload):
            if Moody.loads > 1:
                raise ValueError("too old")
            return await super().predict(payload)

        async def unload(self):
            Moody.unloaded += 1

    engine = await start(model(Moody))
    with pytest.raises(Exception, match="ValueError: too old"):
        await engine.load_model("m")
    assert (Moody.loads, Moody.unloaded) == (2, 1)
    Moody.loads = 1
    await ask(engine)


@pytest.mark.parametrize(
    "name", ["../secret.json", "/secret.json", "link.json", "a/../../secret.json"]
)
async def test_a_path_out_of_the_folder_is_refused(refusal, folder_model, write, tmp_path, name):
    secret = write("secret.json", json.dumps({"inputs": [TENSOR]}))
    name = str(secret) if name.startswith("/") else name
    settings = folder_model("m", CODE, "models.Model", warmup=[name])
    (tmp_path / "m/link.json").symlink_to(secret)
    text = await refusal(settings)
    assert f"warmup: {name}: is outside of the model's folder; copy it there" in text


async def test_links_inside_the_folder_are_files_as_config_maps_have_them(
    start, folder_model, write, tmp_path
):
    settings = folder_model("m", CODE, "models.Model", warmup=["one.json"])
    write("m/..2026/one.json", json.dumps({"inputs": [TENSOR]}))
    (tmp_path / "m/..data").symlink_to("..2026")
    (tmp_path / "m/one.json").symlink_to("..data/one.json")
    assert len(loaded(await start(settings)).asked) == 1


async def test_a_link_that_leads_to_itself_cannot_be_read(refusal, folder_model, write, tmp_path):
    settings = folder_model("m", CODE, "models.Model", warmup=["loop.json"])
    (tmp_path / "m/loop.json").symlink_to("loop.json")
    assert "warmup: loop.json: cannot be read: Too many levels" in await refusal(settings)


async def test_a_model_made_in_code_has_no_files(refusal):
    text = await refusal(model(warmup=["one.json"]))
    assert "warmup: one.json: there is no folder, since the model was made in code" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("false", False), ('["a.json", "b.json"]', ["a.json", "b.json"])],
)
def test_the_environment_may_say_it(folder_model, tmp_path, text, expected):
    folder_model("m", CODE)
    path = tmp_path / "m/model-settings.json"
    assert load_model_settings(path, {"MLSERVER_MODEL_WARMUP": text}).value.warmup == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a.json", "warmup: expected true, false or a list, got 'a.json'"),
        (1, "warmup: expected true, false or a list, got 1"),
        ([1], "warmup[0]: expected a string, got 1"),
        (
            ["a.json", "b\0.json"],
            "warmup: expected a name without NUL characters, got 'b\\x00.json'",
        ),
    ],
)
def test_anything_else_is_refused_and_named(folder_model, value, problem):
    with pytest.raises(Exception, match="warmup") as caught:
        folder_model("m", CODE, warmup=value)
    assert problem in str(caught.value)


def test_a_started_server_is_ready_once_its_models_are_warm(serve, model_folder):
    code = CODE.replace(
        "self.asked =", "print('asked', payload.id, flush=True)\n        self.asked ="
    )
    folder = model_folder("m", code, implementation="models.Model", warmup=["one.json"])
    (folder / "one.json").write_text(json.dumps({"id": "warm", "inputs": [TENSOR]}))
    server = serve(folder)
    asked = [line for line in server.lines if line == "asked warm"]
    assert len(asked) == 1
    assert server.lines.index("asked warm") < len(server.lines) - 1
    assert server.stop() == 0


def test_every_worker_is_warm_before_it_takes_requests_also_one_that_is_respawned(
    serve, model_folder
):
    code = """
import os
from pathlib import Path
from mlserver_core import MLModel, request_context
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    def predict(self, payload):
        with Path(__file__).with_name("asked.txt").open("a") as asked:
            asked.write(f"{request_context().transport} {os.getpid()}\\n")
        return InferenceResponse(outputs=[])
"""
    folder = model_folder("m", code, implementation="models.Model", warmup=["one.json"])
    (folder / "one.json").write_text(json.dumps({"inputs": [TENSOR]}))
    server = serve(folder, MLSERVER_PARALLEL_WORKERS="2")

    def asked():
        return [line.split() for line in (folder / "asked.txt").read_text().splitlines()]

    first, second = asked()
    assert (first[0], second[0]) == ("warmup", "warmup")
    assert first[1] != second[1]
    os.kill(int(first[1]), signal.SIGKILL)
    body = json.dumps({"inputs": [TENSOR]}).encode()
    url, kind = f"{server.url}/v2/models/m/infer", {"Content-Type": "application/json"}
    known = {first[1], second[1]}

    def status():
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=30) as got:
                return got.status
        except urllib.error.HTTPError as error:
            return error.code

    while {pid for _, pid in asked()} == known:
        assert status() == 200  # the other one answers meanwhile
    os.kill(int(second[1]), signal.SIGKILL)
    while (code := status()) != 200:
        assert code == 503  # the new one is warm, but perhaps not in service yet
    by_the_new_ones = [(transport, pid) for transport, pid in asked() if pid not in known]
    transport, pid = by_the_new_ones[-1]
    assert transport == "rest"
    assert by_the_new_ones.index(("warmup", pid)) < by_the_new_ones.index(("rest", pid))
    assert server.stop() == 0


def test_a_warm_up_that_fails_in_a_worker_fails_the_load(serve, model_folder, tmp_path):
    folder = model_folder("m", CODE, implementation="models.Model", warmup=["one.json"])
    (folder / "one.json").write_text(json.dumps({"inputs": [TENSOR | {"data": [-4, 0]}]}))
    server = serve(folder, MLSERVER_PARALLEL_WORKERS="1", MLSERVER_ON_LOAD_ERROR="serve")
    reason = "failed to load: warmup: one.json: ValueError: -4.0 has no root"
    assert any(reason in line for line in server.lines)
    assert server.stop() == 0


async def test_the_log_names_each_request_before_the_model_gets_it(start, caplog):
    class Looking(Noting):
        async def predict(self, payload):
            assert "Warming up model m with the request made from" in caplog.text
            return await super().predict(payload)

    caplog.set_level("INFO")
    engine = await start(model(Looking))
    assert len(loaded(engine).asked) == 1
