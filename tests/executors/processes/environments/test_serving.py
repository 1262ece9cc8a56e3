"""Models that have an environment of their own, beside one that has none, served to clients."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

RUNTIME = """
import os
import sys
from pathlib import Path

with Path(__file__).with_name("imported").open("a") as file:
    file.write(f"{os.getpid()}\\n")

import toydep

from mlserver_core import MLModel, custom_handler
from mlserver_core.types import InferenceResponse, MetadataTensor, ResponseOutput


def importable(name):
    try:
        __import__(name)
    except ImportError:
        return "no"
    return "yes"


class Model(MLModel):
    def load(self):
        self.inputs = [MetadataTensor(name="x", datatype="FP64", shape=[-1])]

    def predict(self, payload):
        facts = {
            "toydep": toydep.VERSION,
            "prefix": sys.prefix,
            "python": "%d.%d" % sys.version_info[:2],
            "pid": str(os.getpid()),
            "only_there": importable("only_there"),
            "only_here": importable("only_here"),
            "beside": importable("beside"),
            "program": os.popen("command -v python").read().strip(),
            "active": os.environ.get("VIRTUAL_ENV", "none"),
            "twice": str((payload.inputs[0].data.root * 2).tolist()),
        }
        return InferenceResponse(
            outputs=[
                ResponseOutput(name=name, shape=[1], datatype="BYTES", data=[value])
                for name, value in facts.items()
            ]
        )

    @custom_handler(rest_path="/VERSION")
    async def version(self) -> dict:
        return {"toydep": toydep.VERSION}
"""


def get(server, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def infer(server, model):
    tensor = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.5, 2.0]}
    answer = get(server, f"/v2/models/{model}/infer", {"inputs": [tensor]})
    return {output["name"]: output["data"][0] for output in answer["outputs"]}


@pytest.fixture
def serve_root(serve, tmp_path):
    """Serves the test's folder, with version 1 of ``toydep`` among the server's packages."""
    here = tmp_path / "packages"
    here.mkdir()
    (here / "toydep.py").write_text("VERSION = '1.0'\n")
    (here / "only_here.py").write_text("")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "beside.py").write_text("")

    def start(**environ):
        return serve(
            tmp_path / "root",
            MLSERVER_PARALLEL_WORKERS="1",
            MLSERVER_ENVIRONMENTS_DIR=str(tmp_path / "environments"),
            PYTHONPATH=os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]),
            **environ,
        )

    return start


@pytest.fixture
def a_model(model_folder):
    def write(name, code=RUNTIME, implementation="models.Model", **parameters):
        settings = {"implementation": implementation, "parameters": parameters}
        return model_folder(f"root/{name}", code, **settings)

    return write


def imported_by(folder: Path) -> set[str]:
    return set((folder / "imported").read_text().split())


def test_a_model_of_a_packed_environment_is_served_beside_one_without_w50(
    serve_root, a_model, packed, tmp_path
):
    folder = a_model("packed", environment_tarball="./environment.tar")
    (folder / "environment.tar").symlink_to(packed)
    plain = a_model("plain", RUNTIME.replace("/VERSION", "/PLAIN"))
    server = serve_root()

    there, here = infer(server, "packed"), infer(server, "plain")

    assert (there["toydep"], here["toydep"]) == ("2.0", "1.0")
    assert there["twice"] == here["twice"] == "[3.0, 4.0]"
    assert (there["only_there"], there["only_here"]) == ("yes", "no")
    assert (here["only_there"], here["only_here"]) == ("no", "yes")
    assert there["beside"] == here["beside"] == "yes"  # what `mlserver start` adds for models
    [unpacked] = (tmp_path / "environments").glob("*/env")
    assert there["prefix"] == there["active"] == str(unpacked)
    assert there["program"] == str(unpacked / "bin" / "python")
    # Metadata, custom handlers and readiness are asked of the worker as well; the server itself
    # has never imported either model.
    assert get(server, "/v2/models/packed")["inputs"][0]["name"] == "x"
    assert get(server, "/VERSION", {}) == {"toydep": "2.0"}
    assert get(server, "/PLAIN", {}) == {"toydep": "1.0"}
    assert imported_by(folder) == {there["pid"]}
    assert imported_by(plain) == {here["pid"]}
    assert str(server.process.pid) not in {there["pid"], here["pid"]}

    os.kill(int(there["pid"]), 9)
    again = None
    while again is None:
        with contextlib.suppress(urllib.error.HTTPError):  # 503, until another worker is there
            again = infer(server, "packed")
    assert (again["toydep"], again["prefix"]) == ("2.0", there["prefix"])
    assert server.stop() == 0
    assert unpacked.exists()  # for the next start


@pytest.mark.timeout(300)  # packages come from the index, for a Python that they were not there for
def test_an_environment_may_have_another_python_than_the_server(
    serve_root, a_model, other_environment
):
    a_model("other", environment_path=str(other_environment))
    a_model("plain", RUNTIME.replace("/VERSION", "/PLAIN"))
    server = serve_root()

    there, here = infer(server, "other"), infer(server, "plain")

    assert there["python"] != here["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (there["toydep"], here["toydep"]) == ("2.0", "1.0")
    assert there["twice"] == here["twice"] == "[3.0, 4.0]"
    assert get(server, "/VERSION", {}) == {"toydep": "2.0"}
