"""Puts together, once per load, the one function that answers a model's requests."""

from __future__ import annotations

import asyncio
import copy
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from mlserver_core.errors import MLServerError, RuntimeFailed, text_of
from mlserver_core.executors.interfaces import Executor
from mlserver_core.middlewares.interfaces import Infer, Middleware
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")

#: An absolute path with at least one folder, and its last part: in quotes, where it may have
#: spaces, or bare. What follows "//" is a URL.
_QUOTED = re.compile(r"(['\"])(?:file://)?/(?:[^'\"/]+/)+([^'\"/]*)\1")
_BARE = re.compile(r"(?:file://|(?<![\w./]))/(?:[^\s/'\":,;()<>]+/)+([^\s/'\":,;()<>]*)")


def compose(
    settings: ModelSettings,
    executor: Executor,
    space: Callable[[], AbstractContextManager[None]],
    middlewares: Sequence[Middleware],
    *,
    error_detail: bool,
) -> Infer:
    """The function that answers requests: middlewares(executor(model)).

    Args:
        settings: of the model.
        executor: where the model lives.
        space: makes the model's modules the ones that plain names mean.
        middlewares: outermost first.
        error_detail: may the client see the text of a runtime's exception?
    """

    async def run(request: InferenceRequest, _: RequestContext) -> InferenceResponse:
        try:
            with space():
                response = await executor.predict(request)
        except MLServerError as error:
            if isinstance(getattr(error, "message", None), str):
                error.message = cut_paths(error.message)
            raise
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            logger.exception("Model %r cancelled its own work on %s", settings.name, request.id)
            raise RuntimeFailed("CancelledError: the runtime cancelled its own work") from None
        except GeneratorExit:
            raise
        except BaseException as error:  # a runtime's SystemExit, or a panic of its native code
            logger.exception("Model %r failed on request %s", settings.name, request.id)
            raise RuntimeFailed(_text(error, request, error_detail=error_detail)) from error
        return _seal(response, request, settings)

    infer: Infer = run
    for middleware in reversed(middlewares):
        infer = middleware(infer)
    return infer


def _seal(
    response: object, request: InferenceRequest, settings: ModelSettings
) -> InferenceResponse:
    """Fills in what the server answers for: the id, the model's name and its version."""
    if not isinstance(response, InferenceResponse):
        text = (
            f"Model {settings.name!r} gave no answer: predict() must return an "
            f"InferenceResponse, got {type(response).__name__}"
        )
        logger.error("%s, on request %s", text, request.id)
        raise RuntimeFailed(text)
    # Copies, because a runtime may return the same objects every time.
    response = copy.copy(response)
    response.parameters = copy.copy(response.parameters)
    response.id = request.id
    response.model_name = response.model_name or settings.name
    response.model_version = response.model_version or settings.version
    return response


def _text(error: BaseException, request: InferenceRequest, *, error_detail: bool) -> str:
    if not error_detail:
        return f"the model failed to answer request {request.id}"
    return f"{type(error).__name__}: {cut_paths(text_of(error))}"


def cut_paths(text: str) -> str:
    """``text`` with each absolute path cut to its last part, which is all a client needs."""
    text = _QUOTED.sub(lambda found: f"{found[1]}{found[2] or '(a folder)'}{found[1]}", text)
    return _BARE.sub(lambda found: found[1] or "(a folder)", text)


def is_cancelled() -> bool:
    """Has somebody cancelled this task, as opposed to a runtime raising CancelledError?"""
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)  # Python 3.10 cannot tell
    return cancelling is None or cancelling() > 0
