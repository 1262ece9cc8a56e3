"""Stands in this process for a model that lives in another one."""

from __future__ import annotations

from mlserver_core.custom_handlers import find_custom_handlers
from mlserver_core.executors.interfaces import (
    HandlerDescription,
    ModelDescription,
    RemoteExecutor,
)
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings


class RemoteModel(MLModel):
    """What plugins are told of when a model has loaded elsewhere: its settings, and whether it
    is ready. It answers nothing.
    """

    def __init__(self, settings: ModelSettings, executor: RemoteExecutor) -> None:
        self._executor = executor
        super().__init__(settings)

    @property
    def ready(self) -> bool:
        """What the model says of itself where it lives."""
        return self._executor.model_ready()

    @ready.setter
    def ready(self, value: bool) -> None:
        """Does nothing: the server, which sets it after a load, has no say here."""


def describe(model: MLModel) -> ModelDescription:
    """What the engine has to know of a model, to serve it from another process."""
    return ModelDescription(
        predicts=type(model).predict is not MLModel.predict,
        streams=type(model).predict_stream is not MLModel.predict_stream,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        handlers=tuple(
            HandlerDescription(
                name=name, rest_path=custom.rest_path, rest_method=custom.rest_method
            )
            for name, custom in find_custom_handlers(model)
        ),
    )
