"""The server whose batching is checked: its answers, its metadata, its metrics."""

from __future__ import annotations

import asyncio

import aiohttp
import attrs
import orjson

from mlserver_core.cli.batch_checking.comparison import Outcome
from mlserver_core.cli.batch_checking.merges import Counts
from mlserver_core.cli.batch_checking.rows import Row
from mlserver_core.cli.inference.client import CallFailed
from mlserver_core.cli.inference.rest_client import RestClient
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import MetadataModelResponse, MetadataTensor
from mlserver_core.types.converter import structure

#: The metrics that every model has, that count the calls of one with adaptive batching, and that
#: count the answers of one with a response cache.
_SERVED, _CALLS, _CACHED = (
    "model_infer_request_success_total",
    "batch_request_queue_count",
    "response_cache_hits_total",
)


@attrs.frozen
class CheckedModel:
    """A model of a server that runs.

    Attributes:
        client: asks it.
        name: its name.
        metrics_url: where the server shows its metrics.
    """

    client: RestClient
    name: str
    metrics_url: str

    async def ask(self, row: Row) -> Outcome:
        """What the model answers to a row."""
        try:
            return Outcome(await self.client.infer(row.request, {}))
        except CallFailed as error:
            return Outcome(None, error.status, str(error))

    async def declared_inputs(self) -> list[MetadataTensor]:
        """The inputs in the model's metadata (Open Inference Protocol, "Model Metadata").

        Raises:
            InvalidRequest: they cannot be had; says what to do.
        """
        url = self.client.url.removesuffix("/infer")
        try:
            async with self.client.session.get(url) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise InvalidRequest(f"no answer from {url}: {error}") from None
        if answer.status != 200:
            raise InvalidRequest(
                f"{url} answers {answer.status}: {content[:300].decode(errors='replace')}"
            )
        try:
            inputs = structure(orjson.loads(content), MetadataModelResponse).inputs
        except (orjson.JSONDecodeError, InvalidRequest) as error:
            raise InvalidRequest(f"{url} answers what is no metadata: {error}") from None
        if not inputs:
            raise InvalidRequest(
                f"model {self.name!r} does not say what inputs it takes; give requests with --input"
            )
        return inputs

    async def count(self, version: str) -> Counts:
        """What the server has counted of the model until now.

        Args:
            version: the one that answers; empty for a model without.
        """
        url = self.metrics_url
        try:
            async with self.client.session.get(url) as answer:
                text = await answer.text()
        except asyncio.TimeoutError:
            return _unknown(url, f"no answer within {self.client.session.timeout.total} seconds")
        except (aiohttp.ClientError, OSError) as error:
            return _unknown(url, str(error) or type(error).__name__)
        except UnicodeDecodeError:
            return _unknown(url, "they are no text")
        if answer.status != 200:
            return _unknown(url, f"status {answer.status}")
        return _read_counts(url, text, self.name, version)


def _read_counts(url: str, text: str, name: str, version: str) -> Counts:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except ValueError:
        return _unknown(url, "what is there are no metrics")
    labels = [{"model_name": name, "model_version": version}, {"model": name, "version": version}]
    found = {
        sample.name: int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name in (_SERVED, _CALLS, _CACHED) and sample.labels in labels
    }
    if _SERVED not in found:
        return _unknown(url, f"no model {f'{name} {version}'.rstrip()!r} in them")
    return Counts(calls=found.get(_CALLS, 0), cached=found.get(_CACHED, 0))


def _unknown(url: str, reason: str) -> Counts:
    return Counts(problem=f"The metrics at {url} (--metrics-url) cannot be used: {reason}")
