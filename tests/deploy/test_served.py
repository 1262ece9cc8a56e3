"""Servers that start with what a manifest gives to their container, and do what it expects of them.

Ports are 0 and folders temporary; all else is as it stands there. ``host`` is what the image's
settings say.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages

pytest.importorskip("mlserver_core_sklearn", reason="the sklearn plugin is not installed")

ROOT = Path(__file__).parents[2]
RUNTIMES = ["kserve/clusterservingruntime.yaml", "kserve/clusterservingruntime-grpc.yaml"]
IMAGE = {"MLSERVER_HOST": "0.0.0.0"}
#: What KServe's own runtime, and KServe itself, give to the container for a service "iris".
KSERVES_OWN = {
    "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
    "MLSERVER_MODEL_NAME": "iris",
    "MLSERVER_HTTP_PORT": "8080",
    "MLSERVER_GRPC_PORT": "9000",
}
#: What Seldon's own config gives to it.
SELDONS_OWN = {
    "MLSERVER_HTTP_PORT": "9000",
    "MLSERVER_GRPC_PORT": "9500",
    "MLSERVER_MODELS_DIR": "/mnt/agent/models",
    "MLSERVER_MODEL_PARALLEL_WORKERS": "1",
    "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
    "MLSERVER_GRPC_MAX_MESSAGE_LENGTH": "1048576000",
}
REQUEST = (ROOT / "examples" / "iris" / "request.json").read_bytes()


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """The trained example."""
    folder = tmp_path_factory.mktemp("example") / "iris"
    shutil.copytree(ROOT / "examples" / "iris", folder, ignore=shutil.ignore_patterns("*.joblib"))
    subprocess.run([sys.executable, folder / "train.py"], check=True, capture_output=True)
    return folder


@pytest.fixture
def volume(tmp_path):
    """A folder that is mounted read-only: at the end it is as it was when the server started."""
    root = tmp_path / "models"
    root.mkdir()
    state = {}

    def mount():
        for path in [root, *root.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        state.update({path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]})
        return root

    yield root, mount
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == state
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)


def ask(server, path, body=None):
    """The status and the JSON of an answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def call(server, path, request, reply, **fields):
    """One gRPC call, by its path and the names of its messages."""
    messages = load_messages()
    with grpc.insecure_channel(server.grpc_address) as channel:
        method = channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages.get(reply).FromString,
        )
        return method(messages.get(request)(**fields), timeout=30)


def repository(server, name, **fields):
    """A call of the repository over gRPC, as Seldon's agent makes it."""
    prefix = f"inference.{name}"
    path = f"/inference.GRPCInferenceService/{name}"
    return call(server, path, f"{prefix}Request", f"{prefix}Response", **fields)


def probe(server, container):
    """Asks what every probe of the container asks, and says which there are."""
    kinds = set()
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        checked = container.get(name, {})
        if "httpGet" in checked:
            assert ask(server, checked["httpGet"]["path"])[0] == 200
            kinds.add(name)
        elif "grpc" in checked:
            health = "grpc.health.v1.HealthCheck"
            reply = call(
                server, "/grpc.health.v1.Health/Check", f"{health}Request", f"{health}Response"
            )
            assert reply.status == reply.SERVING
            kinds.add(name)
    return kinds


def species(server, model):
    """What the model says of the two flowers of the example."""
    status, answer = ask(server, f"/v2/models/{model}/infer", REQUEST)
    assert status == 200, answer
    assert answer["model_name"] == model
    return answer["outputs"][0]["data"]


def test_deployment_serves_a_read_only_volume_and_drains_before_it_stops(
    serve, iris, volume, environment, server_container
):
    root, mount = volume
    shutil.copytree(iris, root / "iris")
    given = environment("kubernetes/deployment.yaml")
    assert given.pop("MLSERVER_MODELS_DIR") == "/mnt/models"
    server = serve(mount(), "--strict", **IMAGE, **given)
    container = server_container("kubernetes/deployment.yaml")
    assert probe(server, container) == {"startupProbe", "livenessProbe", "readinessProbe"}
    assert species(server, "iris") == [0, 2]
    assert server.scrape().value("model_infer_request_success_total", model="iris", version="v1.0")
    assert ask(server, "/v2/repository/index", b"{}")[0] == 403

    server.process.send_signal(signal.SIGTERM)
    server.wait_for("Stopping on SIGTERM")
    assert ask(server, container["livenessProbe"]["httpGet"]["path"])[0] == 200
    assert ask(server, container["readinessProbe"]["httpGet"]["path"])[0] == 400
    assert species(server, "iris") == [0, 2]  # while the pod is taken out of its services


@pytest.mark.parametrize("settings", [None, {"implementation": "sklearn"}], ids=["bare", "file"])
@pytest.mark.parametrize("runtime", RUNTIMES, ids=["rest", "grpc"])
def test_kserve_runtime_serves_what_the_storage_initializer_has_put_there(
    serve, iris, volume, read, environment, server_container, runtime, settings
):
    root, mount = volume
    shutil.copy(iris / "model.joblib", root)
    if settings is not None:  # without a name: the service's counts
        (root / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    metadata = read(runtime.replace("clusterservingruntime", "inferenceservice"))["metadata"]
    filled = {
        "{{.Name}}": metadata["name"],
        "{{.Labels.modelClass}}": metadata["labels"]["modelClass"],
        "/mnt/models": str(root),
    }
    given = {name: filled.get(value, value) for name, value in environment(runtime).items()}
    assert not [value for value in given.values() if "{{" in value]
    folder = Path(given.pop("MLSERVER_MODELS_DIR"))
    assert folder == mount()
    server = serve(folder, "--strict", **IMAGE, **given)
    assert "readinessProbe" in probe(server, server_container(runtime))
    assert species(server, metadata["name"]) == [0, 2]
    assert ask(server, "/v2/repository/index", b"{}")[0] == 403


def test_image_serves_in_kserves_own_runtime_where_its_own_folder_is_empty(
    serve, iris, tmp_path, volume
):
    root, mount = volume
    shutil.copy(iris / "model.joblib", root)
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    given = {**IMAGE, **KSERVES_OWN, "MLSERVER_MODEL_URI": str(mount())}
    assert species(serve(embedded, "--strict", **given), "iris") == [0, 2]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("seldon-core-2/serverconfig.yaml", {}),
        ("seldon-core-2/server-of-seldons-config.yaml", SELDONS_OWN),
    ],
    ids=["our config", "seldons"],
)
def test_seldons_agent_loads_and_unloads_what_it_has_put_into_an_empty_folder(
    serve, iris, tmp_path, environment, server_container, path, more
):
    folder = tmp_path / "agent" / "models"
    folder.mkdir(parents=True)  # what the init container does
    given = {**more, **environment(path)}
    assert given.pop("MLSERVER_MODELS_DIR") == "/mnt/agent/models"
    server = serve(folder, "--strict", **IMAGE, **given)
    container = server_container("seldon-core-2/serverconfig.yaml")
    assert probe(server, container) == {"startupProbe", "livenessProbe", "readinessProbe"}
    assert list(repository(server, "RepositoryIndex").models) == []

    version = folder / "iris_1" / "1"
    version.mkdir(parents=True)
    shutil.copy(iris / "model.joblib", version)
    settings = {
        "name": "iris_1",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "1", "extra": {}},
    }
    (version / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    repository(server, "RepositoryModelLoad", model_name="iris_1")
    (model,) = repository(server, "RepositoryIndex").models
    assert (model.name, model.version, model.state) == ("iris_1", "1", "READY")
    assert species(server, "iris_1") == [0, 2]

    repository(server, "RepositoryModelUnload", model_name="iris_1")
    shutil.rmtree(folder / "iris_1")
    assert list(repository(server, "RepositoryIndex").models) == []
    assert ask(server, "/v2/models/iris_1/infer", REQUEST)[0] == 404
    assert probe(server, container)


def test_compose_serves_the_example(serve, iris, volume, environment):
    root, mount = volume
    shutil.copytree(iris, root, dirs_exist_ok=True)
    given = environment("compose/compose.yaml")
    assert given.pop("MLSERVER_MODELS_DIR") == "/mnt/models"
    server = serve(mount(), "--strict", **IMAGE, **given)
    assert ask(server, "/v2/health/ready")[0] == 200
    assert species(server, "iris") == [0, 2]
