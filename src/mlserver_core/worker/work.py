"""Does what the frames of the server ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.errors import Unsupported
from mlserver_core.executors.interfaces import HttpAnswer, ModelDescription
from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.settings import Settings
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext
from mlserver_core.worker.calls import Call, Calls
from mlserver_core.worker.metrics import ShippedMetrics
from mlserver_core.worker.models import Models
from mlserver_core.worker.sender import Sender

#: What is sent to a call that is on its way.
_TO_A_CALL = frozenset({Kind.NEXT, Kind.INPUT, Kind.INPUT_END, Kind.INPUT_ERROR})
#: Calls that end with END, after their items.
_OF_ITEMS = frozenset({Kind.STREAM, Kind.EXCHANGE})


@attrs.define(eq=False)
class Work:
    """Turns frames into calls of models.

    Attributes:
        settings: the server's.
        models: that live here.
        sender: to the server.
    """

    settings: Settings
    models: Models
    sender: Sender
    calls: Calls = attrs.field(init=False)
    _app: Any = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.calls = Calls(self.sender, self.models)

    def take(self, frame: Frame) -> None:
        """Takes a frame; raises BrokenFrame for one that no server sends."""
        if frame.kind is Kind.CANCEL or frame.kind in _TO_A_CALL:
            call = self.calls.find(frame.call)
            if call is None:  # it has ended while the frame was on its way
                return
            if frame.kind is Kind.CANCEL:
                call.cancel()
            else:
                call.take(frame)
            return
        do = _WORK.get(frame.kind)
        if do is None:
            raise BrokenFrame(f"expected something to do, got {frame.kind.name}")
        call = Call(
            id=frame.call,
            sender=self.sender,
            generation=frame.body["generation"],
            context=frame.body.get("context") or RequestContext(),
            ends_with=Kind.END if frame.kind in _OF_ITEMS else Kind.RESULT,
        )
        self.calls.start(call, do(self, call, frame.body))

    async def load(self, call: Call, body: Mapping[str, Any]) -> ModelDescription:
        """Loads a model."""
        metrics = ModelMetrics()
        if self.settings.metrics_endpoint:
            metrics = ShippedMetrics(self.sender, call.generation, frozenset(body["metric_names"]))
        settings, runtime = body["settings"], body.get("runtime")
        runtimes = self.models.parts.runtimes
        if runtime is not None and runtimes.get(settings.implementation) is None:
            runtimes.add(settings.implementation, runtime)
        return await self.models.load(call.generation, settings, metrics)

    async def unload(self, call: Call, _: Mapping[str, Any]) -> None:
        """Unloads a model."""
        await self.models.unload(call.generation)

    async def predict(self, call: Call, body: Mapping[str, Any]) -> InferenceResponse:
        """Answers one request."""
        return await self.models.find(call.generation).infer(body["request"], call.context)

    async def stream(self, call: Call, _: Mapping[str, Any]) -> None:
        """Answers a stream of requests."""
        serving = self.models.find(call.generation)
        await call.give(serving.infer_stream(call.requests(), call.context))

    async def call(self, call: Call, body: Mapping[str, Any]) -> Any:
        """Runs another method of a model."""
        serving = self.models.find(call.generation)
        if body["method"] != "metadata":
            raise Unsupported(f"a worker calls no {body['method']!r}")
        return await serving.call(body["method"], body["arguments"], call.context)

    async def exchange(self, call: Call, body: Mapping[str, Any]) -> None:
        """Runs a custom handler."""
        # Not at the top: most models have none, and it brings an HTTP library.
        from mlserver_core.worker.http_exchange import Exchange, make_app

        if self._app is None:
            self._app = make_app()
        serving = self.models.find(call.generation)
        exchange = Exchange(self._app, serving, body["handler"], body["call"], call.context)
        await call.give(exchange.pieces(), is_last=_is_complete)


def _is_complete(piece: Any) -> bool:
    return isinstance(piece, HttpAnswer) and piece.body is not None


_WORK = {
    Kind.LOAD: Work.load,
    Kind.UNLOAD: Work.unload,
    Kind.PREDICT: Work.predict,
    Kind.STREAM: Work.stream,
    Kind.CALL: Work.call,
    Kind.EXCHANGE: Work.exchange,
}
