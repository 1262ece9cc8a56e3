from __future__ import annotations

import pytest

from mlserver_core.hooks.registry import OrderedRegistry
from mlserver_core.middlewares.cloudevents import (
    cloud_events,
    mlserver_register_middlewares,
    read_namespace,
)
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters
from mlserver_core.types.context import RequestContext

MODEL = ModelSettings(name="iris", implementation=MLModel)


@pytest.fixture
def pass_through():
    """Sends a request through the middleware; returns what the model saw and what came out."""

    async def send(request=None, response=None, *, namespace="", **settings):
        seen = []

        async def infer(request, context):
            seen.append(dict(request.parameters.headers))
            answer = response or InferenceResponse(outputs=[])
            answer.id = request.id
            return answer

        wrapped = cloud_events(Settings(**settings), MODEL, namespace)(infer)
        request = request or InferenceRequest(id="r-1", inputs=[])
        answer = await wrapped(request, RequestContext())
        return seen[0], answer.parameters.headers

    return send


async def test_requests_and_answers_carry_cloud_event_headers(pass_through):
    request, answer = await pass_through(server_name="s")
    common = {
        "Ce-Specversion": "0.3",
        "Ce-Source": "io.seldon.serving.deployment.s",
        "Ce-Modelid": "iris",
        "Ce-Inferenceservicename": "s",
        "Ce-Endpoint": "iris",
        "Ce-Id": "r-1",
        "Ce-Requestid": "r-1",
    }
    assert request == common | {"Ce-Type": "io.seldon.serving.inference.request"}
    assert answer == common | {"Ce-Type": "io.seldon.serving.inference.response"}


async def test_the_kubernetes_namespace_is_named_where_there_is_one(pass_through):
    for headers in await pass_through(namespace="prod", server_name="s"):
        assert headers["Ce-Source"] == "io.seldon.serving.deployment.s.prod"
        assert headers["Ce-Namespace"] == "prod"


async def test_headers_of_the_client_and_the_runtime_win(pass_through):
    request = InferenceRequest(
        id="r-1", inputs=[], parameters={"headers": {"Ce-Source": "client", "a": "b"}}
    )
    response = InferenceResponse(
        outputs=[], parameters={"headers": {"Ce-Type": "own", "c": "d"}, "other": 1}
    )
    seen, answer = await pass_through(request, response)
    assert (seen["Ce-Source"], seen["a"]) == ("client", "b")
    assert (answer["Ce-Type"], answer["c"]) == ("own", "d")
    assert response.parameters.other == 1


async def test_requests_share_no_headers(pass_through):
    first, _ = await pass_through()
    second, _ = await pass_through(InferenceRequest(id="r-2", inputs=[]))
    assert (first["Ce-Id"], second["Ce-Id"]) == ("r-1", "r-2")


async def test_answer_that_a_runtime_always_returns_carries_no_id_of_another_request(start, ask):
    always = InferenceResponse(outputs=[], parameters=Parameters(headers={"foo": "bar"}))

    class Runtime(MLModel):
        async def predict(self, payload):
            return always

    engine = await start(ModelSettings(name="m", implementation=Runtime))
    for id in ("r-1", "r-2"):
        answer = await ask(engine, id=id)
        assert (answer.id, answer.parameters.headers["Ce-Id"]) == (id, id)
        assert answer.parameters.headers["foo"] == "bar"
        answer.parameters.headers = None  # as a transport does
    assert (always.id, always.parameters.headers) == (None, {"foo": "bar"})


async def test_the_engine_adds_them_unless_cloud_events_is_false(start, ask):
    class Runtime(MLModel):
        async def predict(self, payload):
            return InferenceResponse(
                outputs=[], parameters={"seen": payload.parameters.headers.get("Ce-Id", "none")}
            )

    model = ModelSettings(name="m", implementation=Runtime)
    answer = await ask(await start(model), id="r-1")
    assert (answer.parameters.seen, answer.parameters.headers["Ce-Id"]) == ("r-1", "r-1")
    without = await ask(await start(model, cloud_events=False), id="r-1")
    assert (without.parameters.seen, without.parameters.headers) == ("none", None)


def test_nothing_is_registered_when_cloud_events_is_false():
    for wanted in (True, False):
        registry = OrderedRegistry("middleware")
        mlserver_register_middlewares(registry, Settings(cloud_events=wanted))
        assert ("cloudevents" in registry) is wanted


def test_the_namespace_is_read_from_the_file_that_kubernetes_mounts(tmp_path):
    (tmp_path / "namespace").write_text("prod\n")
    assert read_namespace(tmp_path / "namespace") == "prod"
    assert read_namespace(tmp_path / "missing") == ""


@pytest.mark.parametrize(
    ("id", "header"),
    [
        ("plain 1", "plain 1"),
        ("a\nb", "a%0Ab"),
        ("x" * 20_000, "x" * 1024),
        ("ü" * 2000, ("%C3%BC" * 200)[:1024]),
        ("\ud800", "?"),
    ],
)
async def test_an_id_that_no_header_carries_is_encoded_and_cut_in_the_answers_headers(
    pass_through, id, header
):
    _, answer = await pass_through(InferenceRequest(id=id, inputs=[]))
    assert answer["Ce-Id"] == answer["Ce-Requestid"] == header
