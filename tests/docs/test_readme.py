"""The README's calls, as they are written, against the model that its command serves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sklearn = pytest.importorskip("mlserver_core_sklearn", reason="the sklearn plugin is not installed")

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


def block(kind, name):
    marked = rf"<!-- {kind}: {name} -->\n```\w+\n(.*?)\n```"
    return re.search(marked, README, re.DOTALL)[1]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """A copy of the example, trained as the README trains it."""
    folder = tmp_path_factory.mktemp("example") / "iris"
    shutil.copytree(ROOT / "examples" / "iris", folder, ignore=shutil.ignore_patterns("*.joblib"))
    subprocess.run([sys.executable, folder / "train.py"], check=True, capture_output=True)
    return folder


@pytest.fixture
def predicted(iris):
    """What the model itself says of the README's flowers."""
    import joblib

    return joblib.load(iris / "model.joblib").predict(FLOWERS).tolist()


@pytest.mark.parametrize("name", ["run", "test"])
def test_command_is_one_line_in_a_block_of_its_own(name):
    assert re.search(rf"<!-- command: {name} -->\n```sh\n[^\n]+\n```\n", README)


def test_curl_of_the_readme_gets_the_answer_of_the_readme(serve, iris, predicted):
    server = serve(iris)
    command = shlex.split(block("call", "rest").replace(":8080", f":{server.http_port}"))
    answer = subprocess.run([*command, "-s"], check=True, capture_output=True, text=True).stdout
    assert answer == block("answer", "rest")
    assert json.loads(answer)["outputs"][0]["data"] == predicted


def test_grpc_call_of_the_readme_gets_the_answer_of_the_readme(serve, iris, predicted):
    server = serve(iris)
    code = block("call", "grpc").replace("8081", str(server.grpc_port))
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == block("answer", "grpc") == f"predict {predicted}"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritonclient_infers_iris(serve, iris, predicted, protocol):
    import numpy as np

    client_module = pytest.importorskip(
        f"tritonclient.{protocol}", reason="tritonclient is not installed"
    )
    server = serve(iris)
    port = server.http_port if protocol == "http" else server.grpc_port
    tensor = client_module.InferInput("measurements", [2, 4], "FP64")
    options = {"binary_data": False} if protocol == "http" else {}
    tensor.set_data_from_numpy(np.array(FLOWERS), **options)
    with client_module.InferenceServerClient(f"127.0.0.1:{port}") as client:
        result = client.infer("iris", [tensor])
    assert result.as_numpy("predict").reshape(-1).tolist() == predicted
