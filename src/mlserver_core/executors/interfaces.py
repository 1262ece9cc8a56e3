"""What an executor is, and what it needs of a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import attrs

from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, MetadataTensor


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


class MetricsSink(Protocol):
    """Takes what the code of one model counts; ``metrics.custom.ModelMetrics`` is one."""

    def register(self, name: str, description: str) -> None:
        """Makes a custom metric; raises ValueError for a name that is taken."""

    def observe(self, name: str, description: str, value: SupportsFloat) -> None:
        """Adds a value to a custom metric."""

    def observe_outstanding(self, calls: int) -> None:
        """Notes how many calls a worker has been given and not finished."""

    def taken(self) -> Collection[str]:
        """Names that no custom metric can have."""


@attrs.frozen(kw_only=True)
class ModelSource:
    """What an executor loads.

    Attributes:
        settings: of the model.
        make: makes the model, in this process; what it raises is the load's failure.
        runtime: the dotted path behind ``settings.implementation``, where that is a registered
            name: a plugin that was registered in code is unknown in other processes.
        metrics: takes what a model counts that lives in another process.
    """

    settings: ModelSettings
    make: Callable[[], RunnableModel]
    runtime: str | None = None
    metrics: MetricsSink | None = None


class Executor(Protocol):
    """Where one model lives. The engine makes one per model load and closes it at unload.

    Its methods are called in the context of a request: ``types.context.request_context()`` gives
    where that comes from and when its answer is of no more use.
    """

    async def load(self, source: ModelSource) -> Any:
        """Makes the model there and runs its ``load``.

        Returns:
            What ``load`` returned; a ``RemoteExecutor`` returns a ``ModelDescription``. Whatever
            ``make`` or ``load`` raises comes through.
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


@attrs.frozen(kw_only=True)
class HandlerDescription:
    """A custom handler of a model that lives in another process.

    Attributes:
        name: of the model's method.
        rest_path: the path it answers.
        rest_method: the HTTP verb.
    """

    name: str
    rest_path: str
    rest_method: str


@attrs.frozen(kw_only=True)
class ModelDescription:
    """What the engine has to know of a model whose class it cannot look at.

    Attributes:
        predicts: has it a ``predict`` of its own?
        streams: has it a ``predict_stream`` of its own?
        inputs: what it takes, which its ``load`` may have read from the artifact.
        outputs: what it answers.
        handlers: its custom handlers.
    """

    predicts: bool
    streams: bool
    inputs: tuple[MetadataTensor, ...] = ()
    outputs: tuple[MetadataTensor, ...] = ()
    handlers: tuple[HandlerDescription, ...] = ()


@attrs.frozen(kw_only=True)
class HttpCall:
    """An HTTP request to a custom handler, for a model that lives in another process.

    Attributes:
        method: the verb.
        url: path and query as they came, escapes and all.
        headers: name and value of each, in order.
        body: decompressed.
        variables: what stands in the path, by the names that the handler's path gives.
        remote: the address of whoever sent it, if it is known.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    variables: Mapping[str, str]
    remote: str | None = None


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """The beginning of the answer to an ``HttpCall``, or all of it.

    Attributes:
        status: the HTTP status.
        reason: its text; None for the usual one.
        headers: name and value of each, in order.
        body: all of the body; None where it follows in pieces.
        raised: has the handler raised it, as an exception of its HTTP library?
    """

    status: int
    reason: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    raised: bool = False


@runtime_checkable
class RemoteExecutor(Executor, Protocol):
    """An executor whose models live in other processes, on this machine or on others.

    Its ``load`` does not call ``make``: it finds the class by ``settings.implementation`` where
    the model is to live, and returns a ``ModelDescription``. Its ``predict`` and the others raise
    nothing but an ``MLServerError``, or CancelledError when their caller is cancelled.
    """

    def available(self) -> bool:
        """Could the model be asked right now? False while no process that has it is there."""

    def reason(self) -> str:
        """Why it could not be asked right now, for the operator; may be empty."""

    def model_ready(self) -> bool:
        """Does the model say of itself that it is ready?"""

    def must_be_alone(self, request: InferenceRequest) -> bool:
        """Is the request not to be merged with others, since it may be what has ended a process?"""

    def exchange(self, handler: str, call: HttpCall) -> AsyncGenerator[HttpAnswer | bytes, None]:
        """Runs a custom handler: yields one ``HttpAnswer``, and then the pieces of its body if
        that was not complete. ``call("metadata", {})`` is the only use of ``call``.
        """


#: Makes the executor of one model. Called at load, never while serving.
ExecutorFactory = Callable[[ModelSettings], Executor]
