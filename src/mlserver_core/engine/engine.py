"""The engine: what every transport asks."""

from __future__ import annotations

import copy
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing
from typing import Any

import attrs

from mlserver_core.engine.deadlines import Deadlines, begin
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.model_table import ModelEntry, Serving
from mlserver_core.engine.models import Models
from mlserver_core.engine.parts import Parts
from mlserver_core.engine.repository import make_index
from mlserver_core.engine.route_table import Route, RouteMatch
from mlserver_core.engine.work import exchange_on, infer_on, stream_on
from mlserver_core.errors import (
    ModelNotFound,
    ModelNotReady,
    PermissionDenied,
    Unavailable,
)
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.metrics.registry import Metrics
from mlserver_core.settings import Settings
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    RepositoryIndexResponseItem,
)
from mlserver_core.types.context import RequestContext
from mlserver_core.types.request_ids import make_request_id

#: Names of the protocol extensions that are there, for the server's metadata.
EXTENSIONS = ("model_repository", "binary_tensor_data", "generate", "parameters")


@attrs.define(eq=False)
class InferenceEngine:
    """Answers for the models.

    Attributes:
        settings: the server's.
        models: what it answers with.
        in_flight: the requests that are being answered.
        draining: the server is about to stop; it says so, and still answers.
    """

    settings: Settings
    _parts: Parts
    _plugins: PluginManager
    models: Models = attrs.field(init=False)
    in_flight: InFlight = attrs.field(factory=InFlight, init=False)
    draining: bool = attrs.field(default=False, init=False)
    _deadlines: Deadlines = attrs.field(factory=Deadlines, init=False)

    def __attrs_post_init__(self) -> None:
        self.models = Models(self.settings, self._parts, self._plugins)

    async def infer(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        context: RequestContext,
    ) -> InferenceResponse:
        """Answers one inference request, which it checks and completes in place.

        Args:
            name: the model's name.
            version: its version; None or empty for the default one.
            request: what is asked.
            context: where it comes from.

        Raises:
            MLServerError: every failure, with its code; nothing else comes out.
        """
        entry, serving = self._find(name, version)
        with serving.context.metrics.measure():
            entry.check_ready(version)
            deadline = begin(context, entry.settings)
            work = infer_on(entry, serving, self.in_flight, request, context)
            if deadline is None:
                return await work
            return await self._deadlines.finish(work, context, deadline)

    async def infer_stream(
        self,
        name: str,
        version: str | None,
        requests: AsyncIterable[InferenceRequest],
        context: RequestContext,
    ) -> AsyncGenerator[InferenceResponse, None]:
        """Answers a stream of requests, which it checks and completes as the model reads them.

        Nothing happens before the first response is asked for. Whoever stops before the end
        calls ``aclose``.

        Args:
            name: the model's name.
            version: its version; None or empty for the default one.
            requests: what is asked. All get the id of the first, and so do the responses.
            context: where it comes from.

        Raises:
            MLServerError: every failure, with its code; nothing else comes out.
        """
        entry, serving = self._find(name, version)
        with serving.context.metrics.measure():
            entry.check_ready(version)
            deadline = begin(context, entry.settings)
            answers = stream_on(entry, serving, self.in_flight, requests, context)
            if deadline is not None:
                answers = self._deadlines.steps(answers, context, deadline)
            async with aclosing(answers):
                async for response in answers:
                    yield response

    @property
    def metrics(self) -> Metrics | None:
        """What the server counts; None when it counts nothing."""
        return self._parts.metrics

    def find_route(self, method: str, path: str) -> RouteMatch | None:
        """The custom handler for an HTTP verb and path, if a loaded model has one.

        Args:
            method: the verb.
            path: decoded, except for ``%2F`` and ``%25``.
        """
        return self.models.routes.find(method, path)

    def route_methods(self, path: str) -> set[str]:
        """The verbs that custom handlers take at a path."""
        return self.models.routes.methods(path)

    async def call_route(
        self,
        route: Route,
        bind: Callable[[], Awaitable[Mapping[str, Any]]],
        context: RequestContext,
        passing: tuple[type[Exception], ...] = (),
    ) -> Any:
        """Runs a custom handler.

        Args:
            route: what ``find_route`` gave just now.
            bind: reads the handler's arguments, by name; the model stays loaded meanwhile.
            context: where the call comes from.
            passing: exceptions of the handler that the caller understands.

        Raises:
            MLServerError: every failure, with its code. Besides it comes out what is
                ``passing``, and what ``bind`` raises.
        """
        entry, serving = self._find_on(route, context)

        async def call() -> Any:
            entry.check_room()
            with self.in_flight, serving.in_flight:
                return await serving.call(route.handler, await bind(), context, passing)

        deadline = begin(context, entry.settings)
        if deadline is None:
            return await call()
        return await self._deadlines.finish(call(), context, deadline)

    async def exchange_route(
        self, route: Route, bind: Callable[[], Awaitable[HttpCall]], context: RequestContext
    ) -> AsyncGenerator[HttpAnswer | bytes, None]:
        """As ``call_route``, for a model in another process: ``bind`` reads the HTTP request.
        Yields the answer, and the pieces of its body where it is not complete. Whoever stops
        before the end calls ``aclose``.
        """
        entry, serving = self._find_on(route, context)
        deadline = begin(context, entry.settings)
        pieces = exchange_on(entry, serving, self.in_flight, (route.handler, bind), context)
        if deadline is not None:
            pieces = self._deadlines.steps(pieces, context, deadline)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def metadata(self, name: str, version: str | None = None) -> MetadataModelResponse:
        """What the model says of itself; ``versions`` are the loaded ones unless declared.

        Raises:
            ModelNotFound: no such model or version.
            ModelNotReady: it is not loaded, so it cannot say.
        """
        serving = self.models.table.find(name, version).serving
        if serving is None:
            raise ModelNotReady(name, version or None)
        with self.in_flight, serving.describing:
            found = await serving.call("metadata", {}, RequestContext())
        metadata: MetadataModelResponse = copy.copy(found)
        metadata.versions = metadata.versions or self.models.table.versions(name)
        return metadata

    def model_ready(self, name: str, version: str | None = None) -> bool:
        """Can the model answer? Raises ModelNotFound for one that is not known."""
        return self.models.table.find(name, version).ready

    def ready(self) -> bool:
        """Can the server answer for every model it is meant to serve?"""
        return not self.draining and self.models.ready()

    def max_body_size(self, name: str, version: str | None) -> int:
        """Bytes that a request to this model may have over HTTP; for one that is not known the
        server's own limit.
        """
        own = self.max_message_size(name, version)
        return self.settings.max_body_size if own is None else own

    def max_message_size(self, name: str, version: str | None) -> int | None:
        """Bytes that the model's own settings allow; None where they say nothing of it."""
        try:
            return self.models.table.find(name, version).settings.max_body_size
        except ModelNotFound:
            return None

    def server_metadata(self) -> MetadataServerResponse:
        """The server's name, version and protocol extensions."""
        return MetadataServerResponse(
            name=self.settings.server_name,
            version=self.settings.server_version,
            extensions=[*EXTENSIONS, *self.settings.extensions],
        )

    async def index(self, *, ready: bool = False) -> list[RepositoryIndexResponseItem]:
        """Every version of every model and its state; with ``ready`` those that can answer.

        Raises:
            PermissionDenied: the repository API is off.
            Unavailable: the server is stopping.
        """
        self._check_repository_api()
        listing = make_index(self.models.table, self.models.repository, ready=ready)
        return await self.models.tasks.attend(listing)

    async def load_model(self, name: str) -> None:
        """Loads, or loads anew, every version of a model that is in the repository now.

        Raises:
            PermissionDenied: the repository API is off.
            MLServerError: as ``Models.load``.
        """
        self._check_repository_api()
        await self.models.load(name)

    async def unload_model(self, name: str) -> None:
        """Unloads every version of a model, once the requests it works on are finished.

        Raises:
            PermissionDenied: the repository API is off.
            MLServerError: as ``Models.unload``.
        """
        self._check_repository_api()
        await self.models.unload(name)

    def _find(self, name: str, version: str | None) -> tuple[ModelEntry, Serving]:
        if self.models.stopping:
            raise Unavailable("the server is stopping")
        entry = self.models.table.find(name, version)
        if entry.serving is None:
            raise ModelNotReady(name, version or None)
        return entry, entry.serving

    def _find_on(self, route: Route, context: RequestContext) -> tuple[ModelEntry, Serving]:
        """The model whose custom handler is called, if it can answer."""
        entry, serving = self._find(route.model, route.version)
        if route not in serving.routes:  # of an earlier load
            raise ModelNotReady(route.model, route.version)
        entry.check_ready(route.version)
        context.request_id = context.request_id or make_request_id()
        return entry, serving

    def _check_repository_api(self) -> None:
        wanted = self.settings.model_repository_api
        if wanted == "off" or (wanted == "auto" and not self.settings.is_local):
            raise PermissionDenied(
                "the model repository API is off; the operator can turn it on with "
                '"model_repository_api": "on" (MLSERVER_MODEL_REPOSITORY_API=on)'
            )
