"""What a model's code raised, as the error a client gets."""

from __future__ import annotations

import asyncio
import logging
import re
from types import TracebackType

import attrs

from mlserver_core.errors import MLServerError, RuntimeFailed, text_of
from mlserver_core.settings import ModelSettings
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")

#: An absolute path with at least one folder, and its last part: in quotes, where it may have
#: spaces, or bare. What follows "//" is a URL.
_QUOTED = re.compile(r"(['\"])(?:file://)?/(?:[^'\"/]+/)+([^'\"/]*)\1")
_BARE = re.compile(r"(?:file://|(?<![\w./]))/(?:[^\s/'\":,;()<>]+/)+([^\s/'\":,;()<>]*)")


@attrs.frozen
class Failures:
    """How the exceptions of one model reach its clients.

    Attributes:
        settings: of the model.
        detail: may a client see the text of an exception?
    """

    settings: ModelSettings
    detail: bool

    def on(
        self, work: str, context: RequestContext, passing: tuple[type[Exception], ...] = ()
    ) -> _Boundary:
        """Turns whatever is raised inside into an MLServerError.

        Args:
            work: what the model is doing, with the request's id, for the log.
            context: of the request; learns of a cancellation.
            passing: exceptions that are left as they are.
        """
        return _Boundary(self, work, context, passing)

    def of(
        self,
        error: BaseException,
        work: str,
        context: RequestContext,
        passing: tuple[type[Exception], ...] = (),
    ) -> MLServerError | None:
        """What to raise in place of ``error``, or None for the error itself; as ``on``, without
        an object for what does not fail.
        """
        if isinstance(error, (GeneratorExit, *passing)):
            return None
        if isinstance(error, MLServerError):
            if isinstance(getattr(error, "message", None), str):
                error.message = cut_paths(error.message)
            return None
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            context.cancelled = True
            return None
        # A runtime's SystemExit, or a panic of its native code, is an error like others.
        return self.translate(error, work)

    def translate(self, error: BaseException, work: str) -> MLServerError:
        """The error for the client; logs what is not meant for it."""
        if isinstance(error, asyncio.CancelledError):
            logger.error("Model %r cancelled its own work on %s", self.settings.name, work)
            return RuntimeFailed("CancelledError: the runtime cancelled its own work")
        logger.error("Model %r failed on %s", self.settings.name, work, exc_info=error)
        if not self.detail:
            return RuntimeFailed(f"the model failed to answer {work}")
        return RuntimeFailed(f"{type(error).__name__}: {cut_paths(text_of(error))}")


class _Boundary:
    """Raises in place of what was raised inside; nothing of it is made where nothing is."""

    __slots__ = ("_context", "_failures", "_passing", "_work")

    def __init__(
        self,
        failures: Failures,
        work: str,
        context: RequestContext,
        passing: tuple[type[Exception], ...],
    ) -> None:
        self._failures = failures
        self._work = work
        self._context = context
        self._passing = passing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is None:
            return
        made = self._failures.of(error, self._work, self._context, self._passing)
        if made is not None:
            raise made from error


def cut_paths(text: str) -> str:
    """``text`` with each absolute path cut to its last part, which is all a client needs."""
    text = _QUOTED.sub(lambda found: f"{found[1]}{found[2] or '(a folder)'}{found[1]}", text)
    return _BARE.sub(lambda found: found[1] or "(a folder)", text)


def is_cancelled() -> bool:
    """Has somebody cancelled this task, as opposed to a runtime raising CancelledError?"""
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)  # Python 3.10 cannot tell
    return cancelling is None or cancelling() > 0
