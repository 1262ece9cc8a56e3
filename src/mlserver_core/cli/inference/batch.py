"""One run: lines are read, merged and sent by workers, and their answers handed on."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import attrs

from mlserver_core.cli.inference.client import CallFailed, Client, infer_patiently
from mlserver_core.cli.inference.lines import Line
from mlserver_core.cli.inference.micro_batches import Call, micro_batches, to_calls
from mlserver_core.cli.inference.options import Options
from mlserver_core.cli.inference.results import CALL_FAILED, NO_REQUEST, Results
from mlserver_core.engine.batching.merging import Unsplittable, merge, split
from mlserver_core.errors import MLServerError
from mlserver_core.types import InferenceRequest, InferenceResponse

logger = logging.getLogger("mlserver.infer")

#: Calls per worker whose lines may be between being read and being written.
_CALLS_PER_WORKER = 16


@attrs.frozen
class Batch:
    """Sends what lines ask and hands on the answers.

    Attributes:
        options: how many calls at once, how often, and of how many lines.
        client: makes the calls.
        results: takes the answers.
    """

    options: Options
    client: Client
    results: Results

    async def run(self, chunks: AsyncIterator[list[Line]]) -> None:
        """Works until every line has a result.

        Raises:
            OSError: the input cannot be read or the results cannot be written.
        """
        calls: asyncio.Queue[Call | None] = asyncio.Queue(self.options.workers)
        workers = [self._work(calls) for _ in range(self.options.workers)]
        await _run_all([self._read(chunks, calls), *workers])

    async def _read(
        self, chunks: AsyncIterator[list[Line]], calls: asyncio.Queue[Call | None]
    ) -> None:
        batches = micro_batches(chunks, self.options.batch_size, self._admit)
        async with aclosing(batches):
            async for lines in batches:
                for call in to_calls(lines):
                    await calls.put(call)
        for _ in range(self.options.workers):
            await calls.put(None)

    async def _admit(self, line: Line) -> bool:
        await self.results.reserve()
        if line.request is not None:
            return True
        if line.problem:
            self.results.fail(line, NO_REQUEST, line.problem)
        else:
            self.results.skip(line)
        return False

    async def _work(self, calls: asyncio.Queue[Call | None]) -> None:
        while call := await calls.get():
            if len(call.lines) == 1 or not await self._answer_merged(call):
                for line in call.lines:
                    await self._answer_alone(line)
            jitter = random.uniform(0, self.options.batch_jitter)  # noqa: S311  # nothing secret
            await asyncio.sleep(self.options.batch_interval + jitter)

    async def _answer_merged(self, call: Call) -> bool:
        """Whether one call gave each line its result; otherwise none has one yet."""
        inference_id = str(uuid.uuid4())
        try:
            merged = await self._infer(merge(call.parts), inference_id)
            answers = split(merged, call.parts)
        except CallFailed as error:
            if not error.may_split:
                for line in call.lines:
                    self.results.fail(line, CALL_FAILED, str(error), inference_id)
                return True
            logger.info("%d merged lines failed, so each goes alone: %s", len(call.lines), error)
            return False
        except (MLServerError, Unsplittable) as error:
            logger.info("%d lines cannot be merged, so each goes alone: %s", len(call.lines), error)
            return False
        for line, answer in zip(call.lines, answers, strict=True):
            self.results.answer(line, answer, inference_id)
        return True

    async def _answer_alone(self, line: Line) -> None:
        inference_id = str(uuid.uuid4())
        try:
            answer = await self._infer(line.asked, inference_id)
        except CallFailed as error:
            self.results.fail(line, CALL_FAILED, str(error), inference_id)
        except MLServerError as error:
            self.results.fail(line, NO_REQUEST, f"the request cannot be sent: {error}")
        else:
            self.results.answer(line, answer, inference_id)

    async def _infer(self, request: InferenceRequest, inference_id: str) -> InferenceResponse:
        headers = {"x-request-id": inference_id, "seldon-puid": inference_id}
        logger.debug("Call %s asks %s", inference_id, request.id or "what several lines ask")
        return await infer_patiently(self.client, request, headers, self.options.retries)


def count_places(options: Options) -> int:
    """How many lines may be between being read and being written: what bounds the memory."""
    return options.workers * options.batch_size * _CALLS_PER_WORKER


async def _run_all(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Runs all to their end; when one fails or this is cancelled, none goes on."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
