"""What an executor is, and what it needs of a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from mlserver_core.settings import ModelSettings


class RunnableModel(Protocol):
    """What an executor runs; ``MLModel`` is one. Each method may be plain or ``async``."""

    ready: bool

    def load(self) -> Any:
        """Loads the model; False means that it failed."""

    def predict(self, payload: Any) -> Any:
        """Answers a request."""

    def predict_stream(self, payloads: Any) -> Any:
        """Answers a stream of requests with a stream of responses."""

    def unload(self) -> Any:
        """Frees what load took."""


class Executor(Protocol):
    """Where one model lives. The engine makes one per model load and closes it at unload."""

    async def load(self, make: Callable[[], RunnableModel]) -> Any:
        """Makes the model there and runs its ``load``.

        Returns:
            What ``load`` returned. Whatever ``make`` or ``load`` raises comes through.
        """

    async def predict(self, request: Any) -> Any:
        """Runs the model's ``predict`` and returns what it returned; its exceptions come
        through.
        """

    def predict_stream(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Runs the model's ``predict_stream`` and yields what it yields; its exceptions come
        through. Closing it closes the model's iterator.
        """

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Runs another method of the model by its name, such as a custom handler, and returns
        what it returned; its exceptions come through.
        """

    async def idle(self) -> None:
        """Returns when no code of the model runs any more, on behalf of callers who have left
        neither.
        """

    async def unload(self) -> None:
        """Runs the model's ``unload``; its exceptions come through."""

    async def close(self) -> None:
        """Frees the executor's own resources, also after a load that failed."""


#: Makes the executor of one model. Called at load, never while serving.
ExecutorFactory = Callable[[ModelSettings], Executor]
