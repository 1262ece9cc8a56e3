from __future__ import annotations

import asyncio
import logging

import pytest

from mlserver_core.engine.failures import Failures, cut_paths
from mlserver_core.engine.model_context import ModelContext
from mlserver_core.engine.pipeline import Surroundings, compose
from mlserver_core.errors import InvalidRequest, MLServerError, RuntimeFailed
from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext


@pytest.fixture(params=[InlineExecutor, ThreadsExecutor])
def executor_class(request):
    return request.param


@pytest.fixture
async def answer(executor_class):
    """Asks a model whose ``predict`` is the given function."""
    executors = []

    async def ask(predict, *, middlewares=(), error_detail=True, version=None):
        runtime = type("Runtime", (MLModel,), {"predict": predict})
        settings = ModelSettings(name="m", implementation=runtime, parameters={"version": version})
        executor = executor_class(settings)
        executors.append(executor)
        await executor.load(ModelSource(settings=executor.settings, make=lambda: runtime(settings)))
        parts = Surroundings(
            settings=settings,
            executor=executor,
            context=ModelContext(),
            failures=Failures(settings, error_detail),
        )
        infer = compose(parts, middlewares)
        return await infer(InferenceRequest(id="r-1", inputs=[]), RequestContext())

    yield ask
    for executor in executors:
        await executor.unload()


def raising(error, *, plain=False):
    """A ``predict`` that raises, as ``async def`` or as ``def``."""

    async def predict(self, payload):
        raise error

    def plain_predict(self, payload):
        raise error

    return plain_predict if plain else predict


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too hot"), "ValueError: too hot"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError: "),
        (SystemExit(3), "SystemExit: 3"),
        (TimeoutError("late"), "TimeoutError: late"),
        (
            FileNotFoundError(2, "No such file or directory", "/home/me/models/model.pkl"),
            "FileNotFoundError: [Errno 2] No such file or directory: 'model.pkl'",
        ),
    ],
)
async def test_an_exception_of_the_runtime_reaches_the_client_as_class_and_text(
    answer, error, text, plain
):
    with pytest.raises(RuntimeFailed) as failed:
        await answer(raising(error, plain=plain))
    assert str(failed.value) == text
    assert type(failed.value.__cause__) is type(error)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_stop_iteration_of_the_runtime_is_an_error_like_others(answer, plain):
    with pytest.raises(RuntimeFailed, match="StopIteration"):
        await answer(raising(StopIteration(1), plain=plain))


@pytest.mark.parametrize("plain", [False, True])
async def test_a_runtime_that_cancels_itself_has_failed(answer, plain):
    # A task of Python 3.10 cannot tell this from a client that went away.
    tells = hasattr(asyncio.current_task(), "cancelling")
    expected = RuntimeFailed if tells else asyncio.CancelledError
    with pytest.raises(expected):
        await answer(raising(asyncio.CancelledError(), plain=plain))


async def test_a_caller_who_goes_away_cancels_the_work(answer):
    entered, left = asyncio.Event(), asyncio.Event()

    async def predict(self, payload):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    asked = asyncio.ensure_future(answer(predict))
    await entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert left.is_set()


@pytest.mark.parametrize("plain", [False, True])
async def test_a_panic_of_native_code_fails_the_request_and_not_the_server(answer, plain):
    class PanicException(BaseException):  # as pyo3's, which is no Exception either
        pass

    with pytest.raises(RuntimeFailed, match="PanicException: overflow"):
        await answer(raising(PanicException("overflow"), plain=plain))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "error",
    [MLServerError("busy", 429), InvalidRequest("no such column"), MLServerError("odd", 599)],
)
async def test_an_error_meant_for_the_client_passes_unchanged(answer, error, plain):
    with pytest.raises(MLServerError) as failed:
        await answer(raising(error, plain=plain), error_detail=False)
    assert failed.value is error


async def test_without_error_detail_the_client_gets_the_request_id_only(answer, caplog):
    with pytest.raises(RuntimeFailed) as failed:
        await answer(raising(ValueError("secret")), error_detail=False)
    assert str(failed.value) == "the model failed to answer request r-1"
    assert "secret" in caplog.text


async def test_the_log_has_the_traceback_and_the_request(answer, caplog):
    with pytest.raises(RuntimeFailed):
        await answer(raising(ValueError("too hot")))
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.getMessage() == "Model 'm' failed on request r-1"
    assert record.exc_info[0] is ValueError


async def test_an_exception_that_cannot_be_printed_is_a_failure_too(answer, caplog):
    class Unprintable(Exception):
        def __str__(self):
            raise ValueError("no text")

    with pytest.raises(RuntimeFailed, match="Unprintable"):
        await answer(raising(Unprintable()))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("value", "kind"), [(None, "NoneType"), ({"outputs": []}, "dict"), ([], "list")]
)
async def test_an_answer_that_is_none_is_refused_with_its_type(answer, value, kind, plain):
    async def predict(self, payload):
        return value

    def plain_predict(self, payload):
        return value

    with pytest.raises(RuntimeFailed) as failed:
        await answer(plain_predict if plain else predict)
    assert str(failed.value) == (
        f"Model 'm' gave no answer: predict() must return an InferenceResponse, got {kind}"
    )


async def test_the_server_fills_in_id_name_and_version(answer):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])

    response = await answer(predict, version="v3")
    assert (response.id, response.model_name, response.model_version) == ("r-1", "m", "v3")


async def test_name_and_version_of_the_runtime_stay_and_the_id_is_the_requests(answer):
    async def predict(self, payload):
        return InferenceResponse(id="other", model_name="own", model_version="9", outputs=[])

    response = await answer(predict, version="v3")
    assert (response.id, response.model_name, response.model_version) == ("r-1", "own", "9")


async def test_an_unversioned_model_answers_without_version(answer):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])

    assert (await answer(predict)).model_version is None


async def test_middlewares_stand_around_the_model_outermost_first(answer):
    passed = []

    def middleware(name):
        def wrap(infer):
            async def run(request, context):
                passed.append(f"{name} in")
                response = await infer(request, context)
                passed.append(f"{name} out {response.id} {response.model_name}")
                return response

            return run

        return wrap

    async def predict(self, payload):
        passed.append("predict")
        return InferenceResponse(outputs=[])

    await answer(predict, middlewares=[middleware("a"), middleware("b")])
    assert passed == ["a in", "b in", "predict", "b out r-1 m", "a out r-1 m"]


async def test_a_middleware_sees_the_failure_of_the_runtime_as_the_client_does(answer):
    seen = []

    def wrap(infer):
        async def run(request, context):
            try:
                return await infer(request, context)
            except MLServerError as error:
                seen.append(str(error))
                raise

        return run

    with pytest.raises(RuntimeFailed):
        await answer(raising(ValueError("too hot")), middlewares=[wrap])
    assert seen == ["ValueError: too hot"]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("no path here", "no path here"),
        ("cannot read /home/me/model.pkl", "cannot read model.pkl"),
        ("'/home/me/model.pkl'", "'model.pkl'"),
        ('"/a/b/c.txt", line 3', '"c.txt", line 3'),
        ("(/a/b/c)", "(c)"),
        ("/a/b/ is no file", "(a folder) is no file"),
        ("from /a/b to /c/d", "from b to d"),
        ("path=/a/b/c", "path=c"),
        ("at /a/b:12", "at b:12"),
        (
            "see https://host/a/b and http://host:80/a/b",
            "see https://host/a/b and http://host:80/a/b",
        ),
        ("1/2/3 of text/plain and a/b/c", "1/2/3 of text/plain and a/b/c"),
        ("rate 5 / 6 / 7", "rate 5 / 6 / 7"),
        ("'/home/me/my models/model 1.pkl'", "'model 1.pkl'"),
        ("file:///home/me/model.pkl", "model.pkl"),
        ("error:/home/me/model.pkl", "error:model.pkl"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(text, cut):
    shown = cut_paths(text)
    assert "/home" not in shown
    assert shown.replace("file://", "") == cut
