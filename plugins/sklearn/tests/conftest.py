"""Trained estimators, and servers that load them without opening a port."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from mlserver_core import MLServer, ModelSettings, Settings
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext
from mlserver_core_sklearn import SKLearnModel


class Served:
    """A server with models in it."""

    def __init__(self, server, failed):
        self.server = server
        self.failed = failed

    async def infer(self, model, **request):
        return await self.server.engine.infer(
            model, None, InferenceRequest(**request), RequestContext()
        )


@pytest.fixture
async def serve():
    """Loads models as a server does; the keywords are settings of the server."""
    started = []

    async def start(*models, **settings):
        server = MLServer(Settings(http_port=0, grpc_port=0, metrics_port=0, **settings))
        started.append(server)
        return Served(server, [str(error) for error in await server.engine.models.load_all(models)])

    yield start
    for server in started:
        await server.engine.models.unload_all()


@pytest.fixture
def make_model(tmp_path):
    """A loaded SKLearnModel of an estimator; the keywords are its ``parameters``."""

    def make(estimator, **parameters):
        joblib.dump(estimator, tmp_path / "model.joblib")
        model = SKLearnModel(make_settings(tmp_path, **parameters))
        assert model.load() is True
        return model

    return make


def make_settings(folder: Path, name="model", uri=".", **parameters) -> ModelSettings:
    """Settings as they come from ``model-settings.json`` in the folder."""
    return ModelSettings(
        name=name,
        implementation="sklearn",
        parameters={"uri": uri, **parameters},
        source=folder / "model-settings.json",
    )


def make_tensor(values, name="input-0"):
    """An input tensor of numbers."""
    array = np.asarray(values, np.float64)
    return {"name": name, "datatype": "FP64", "shape": list(array.shape), "data": array.tolist()}


def make_request(values, *outputs):
    """A request with one tensor, for these outputs."""
    wanted = [{"name": name} for name in outputs]
    return InferenceRequest(inputs=[make_tensor(values)], outputs=wanted or None)


@pytest.fixture(scope="session")
def iris():
    return load_iris()


@pytest.fixture(scope="session")
def classifier(iris):
    return LogisticRegression(max_iter=1000).fit(iris.data, iris.target)
