"""Answers that models have given, for whoever asks the same again."""

from __future__ import annotations

import itertools
import logging
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import OrderedRegistry
from mlserver_core.middlewares.answer_copies import KeptAnswer
from mlserver_core.middlewares.interfaces import Infer, Middleware, MiddlewareFactory
from mlserver_core.middlewares.request_keys import IGNORED_HEADERS, RequestKeys
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge

    from mlserver_core.metrics.registry import Metrics
    from mlserver_core.server import MLServer

logger = logging.getLogger("mlserver")

#: A load of a model, and the digest of a request to it.
Key = tuple[int, bytes]
#: Bytes that a key takes, and its place in the order of use.
_KEY = 256


@hookimpl
def mlserver_register_middlewares(
    registry: OrderedRegistry[MiddlewareFactory], settings: Settings, metrics: Metrics | None
) -> None:
    """If ``cache_enabled`` is true; inside ``cloudevents``, so that no answer has the events of
    another.
    """
    if settings.cache_enabled:
        registry.add("cache", ResponseCache.of(settings, metrics), after=("cloudevents",))


@hookimpl
def mlserver_server_started(server: MLServer) -> None:
    """Says so where there is a cache, and no model that wants it."""
    models = [entry.settings for entry in server.engine.models.table]
    if server.settings.cache_enabled and models and not any(each.cache_enabled for each in models):
        logger.warning(
            "cache_enabled has no effect: no model has it in its model-settings.json as well"
        )


@attrs.frozen(kw_only=True)
class CacheMetrics:
    """What is counted of the models whose answers are kept."""

    hits: Counter
    misses: Counter
    entries: Gauge
    bytes: Gauge

    @classmethod
    def of(cls, metrics: Metrics) -> CacheMetrics:
        """Those of a server, not of a model yet."""
        return cls(
            hits=metrics.counter(
                "response_cache_hits", "Requests that the response cache answered."
            ),
            misses=metrics.counter(
                "response_cache_misses", "Requests that the response cache had no answer to."
            ),
            entries=metrics.gauge("response_cache_entries", "Answers in the response cache."),
            bytes=metrics.gauge(
                "response_cache_bytes", "Bytes that answers and keys in the response cache take."
            ),
        )

    def of_model(self, model: ModelSettings) -> CacheMetrics:
        """Those of one model."""
        labels = (model.name, model.version or "")
        return CacheMetrics(
            hits=self.hits.labels(*labels),
            misses=self.misses.labels(*labels),
            entries=self.entries.labels(*labels),
            bytes=self.bytes.labels(*labels),
        )


@attrs.define(eq=False)
class ResponseCache:
    """The answers that one server keeps. Used in its event loop only, so without a lock.

    Attributes:
        entries: how many are kept at most.
        max_bytes: how many bytes they and their keys may take.
        keys: what makes two requests the same.
        metrics: what is counted; None when nothing is.
    """

    entries: int
    max_bytes: int
    keys: RequestKeys = attrs.field(kw_only=True)
    metrics: CacheMetrics | None = attrs.field(default=None, kw_only=True)
    _kept: OrderedDict[Key, KeptAnswer] = attrs.field(factory=OrderedDict, init=False)
    _owners: dict[int, CachedModel] = attrs.field(factory=dict, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _loads: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics | None) -> ResponseCache:
        """An empty one, as a server's settings want it."""
        given = settings.cache_ignore_headers
        ignored = [*(IGNORED_HEADERS if given is None else given)]
        if settings.cloud_events:  # the server's own, with the id of the request
            ignored.append("ce-*")
        return cls(
            settings.cache_size,
            settings.cache_max_bytes,
            keys=RequestKeys.ignoring(ignored),
            metrics=None if metrics is None else CacheMetrics.of(metrics),
        )

    def __call__(self, model: ModelSettings) -> Middleware:
        """The middleware of one load of a model; where the model does not say ``cache_enabled``,
        one that does nothing.
        """
        if not model.cache_enabled:
            return _unchanged
        metrics = None if self.metrics is None else self.metrics.of_model(model)
        cached = CachedModel(self, next(self._loads), metrics)
        self._owners[cached.load] = cached
        return cached

    def find(self, key: Key) -> KeptAnswer | None:
        """The answer of that key, which is the one used last from now on."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Key, answer: InferenceResponse) -> None:
        """Keeps an answer, unless it is too large or its model takes no more requests; those
        that have not been used for longest make room.
        """
        if key[0] not in self._owners:
            return
        kept = KeptAnswer.of(answer, self.max_bytes - _KEY)
        if kept is None:
            return
        if key in self._kept:  # somebody asked the same meanwhile
            self._drop(key)
        self._kept[key] = kept
        self._count(key, kept, 1)
        while len(self._kept) > self.entries or self._bytes > self.max_bytes:
            self._drop(next(iter(self._kept)))

    def close(self, load: int) -> None:
        """Lets go of every answer of one load of a model; it keeps none from now on."""
        for key in [key for key in self._kept if key[0] == load]:
            self._drop(key)
        self._owners.pop(load, None)

    def _drop(self, key: Key) -> None:
        self._count(key, self._kept.pop(key), -1)

    def _count(self, key: Key, kept: KeptAnswer, sign: int) -> None:
        size = sign * (kept.size + _KEY)
        self._bytes += size
        metrics = self._owners[key[0]].metrics
        if metrics is not None:
            metrics.entries.inc(sign)
            metrics.bytes.inc(size)


@attrs.frozen(eq=False)
class CachedModel:
    """The middleware of one load of a model. Streams of its ``predict_stream`` pass it by.

    Attributes:
        cache: where its answers are kept.
        load: a number that no other load of any model has, so that nothing is answered with
            what another model, version or load has said.
        metrics: what is counted of it.
    """

    cache: ResponseCache
    load: int
    metrics: CacheMetrics | None

    def __call__(self, infer: Infer) -> Infer:
        """Around a single request."""
        cache, load, metrics = self.cache, self.load, self.metrics

        async def infer_or_find(
            request: InferenceRequest, context: RequestContext
        ) -> InferenceResponse:
            digest = cache.keys.digest(request)
            if digest is None:
                return await infer(request, context)
            kept = cache.find((load, digest))
            if kept is not None:
                if metrics is not None:
                    metrics.hits.inc()
                return kept.hand_out(request.id)
            if metrics is not None:
                metrics.misses.inc()
            answer = await infer(request, context)
            cache.keep((load, digest), answer)
            return answer

        return infer_or_find

    def close(self) -> None:
        """The model takes no more requests."""
        self.cache.close(self.load)


def _unchanged(infer: Infer) -> Infer:
    return infer
