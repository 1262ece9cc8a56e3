"""The server whose batching is checked: its answers, its metadata, its metrics."""

from __future__ import annotations

import asyncio

import aiohttp
import attrs

from mlserver_core.cli.batch_checking.comparison import Outcome
from mlserver_core.cli.batch_checking.rows import Row
from mlserver_core.cli.inference.client import CallFailed
from mlserver_core.cli.inference.rest_client import RestClient
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import MetadataModelResponse, MetadataTensor
from mlserver_core.wire.json import decode

#: The metric that counts the calls of a model with adaptive batching.
_CALLS = "batch_request_queue_count"


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
        inputs = decode(content, {}, MetadataModelResponse).inputs
        if not inputs:
            raise InvalidRequest(
                f"model {self.name!r} does not say what inputs it takes; give requests with --input"
            )
        return inputs

    async def count_calls(self, version: str) -> float | None:
        """How often the model was asked with batching on; None where the server does not tell.

        0 for a model that has it off, or was never asked.

        Args:
            version: the one that answers; empty for a model without.
        """
        try:
            async with self.client.session.get(self.metrics_url) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, UnicodeDecodeError):
            return None
        if answer.status != 200:
            return None
        from prometheus_client.parser import text_string_to_metric_families

        labels = {"model_name": self.name, "model_version": version}
        try:
            families = list(text_string_to_metric_families(text))
        except ValueError:
            return None
        samples = (sample for family in families for sample in family.samples)
        found = (each.value for each in samples if (each.name, each.labels) == (_CALLS, labels))
        return next(found, 0.0)
