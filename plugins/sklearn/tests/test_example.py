"""The example that the documentation shows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlserver_core import MLServer, Settings
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext

EXAMPLE = Path(__file__).parents[3] / "examples" / "iris"


@pytest.fixture
def folder(tmp_path):
    """The example, trained; the copy that a reader has is left alone."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "iris", ignore=shutil.ignore_patterns("*.joblib"))
    done = subprocess.run(
        [sys.executable, "iris/train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "wrote iris/model.joblib\n"
    return copy


async def test_the_iris_example_answers_as_its_metadata_says(folder):
    server = MLServer(
        Settings(http_port=0, grpc_port=0, metrics_port=0, model_repository_root=str(folder))
    )
    async with server:
        request = InferenceRequest(**json.loads((folder / "request.json").read_text()))
        answer = await server.engine.infer("iris", "v1.0", request, RequestContext())
        metadata = await server.engine.metadata("iris")
    labels, probabilities = answer.outputs
    assert list(labels.data) == [0, 2]
    np.testing.assert_allclose(probabilities.data.root.sum(axis=1), 1)
    assert answer.id == "two-flowers"
    for output, declared in zip(answer.outputs, metadata.outputs, strict=True):
        assert (output.name, output.datatype) == (declared.name, declared.datatype)
        assert output.shape[1:] == declared.shape[1:]


def test_training_gives_the_same_file_again(folder):
    first = (folder / "model.joblib").read_bytes()
    subprocess.run([sys.executable, folder / "train.py"], check=True, capture_output=True)
    assert (folder / "model.joblib").read_bytes() == first
