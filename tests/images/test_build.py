"""From a folder to a running image: ``mlserver build``."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

MLSERVER = (sys.executable, "-m", "mlserver_core.cli.main")
EXAMPLES = Path(__file__).parents[2] / "examples"
#: A model that says what it finds around it.
MODELS = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput


class Around(MLModel):
    def predict(self, payload):
        import numbers_of_mine as found

        output = ResponseOutput(name="y", shape=[1], datatype="INT64", data=[found.NUMBER])
        return InferenceResponse(outputs=[output])
"""


@pytest.fixture(scope="session")
def seed(engine, slim):
    """The image of the seed page's runtimes, and what its build printed."""
    printed = engine.mlserver("build", EXAMPLES / "custom-runtimes", "-t", "localhost/seed:1")
    return "localhost/seed:1", printed


def infer_grpc(container, model, *values):
    with triton.InferenceServerClient(container.grpc) as client:
        tensor = triton.InferInput("x", [1, len(values)], "FP64")
        tensor.set_data_from_numpy(np.array([values], dtype=np.float64))
        return client.infer(model, [tensor]).as_numpy("doubled").tolist()


def files_of(engine, image):
    found = engine.run("podman", "run", "--rm", "--pull=never", image, "find", ".", "-type", "f")
    return sorted(found.split("\n")[:-1])


def test_the_builder_that_works_is_found_and_its_output_is_shown(seed):
    _, printed = seed
    assert "COMMIT" in printed
    assert printed.endswith("Built localhost/seed:1 with podman\n")


def test_any_user_serves_it_from_a_file_system_that_is_read_only(engine, seed, start):
    image, _ = seed
    container = start(image, "--user", "71234", "--read-only", "--cap-drop=all")
    assert engine.run("podman", "exec", container.id, "id", "-u").strip() == "71234"
    assert container.infer("my-custom-runtime", 1, 2.5) == [2, 5]
    assert infer_grpc(container, "my-custom-runtime", 1, 2.5) == [[2, 5]]
    assert engine.run("podman", "exec", container.id, "mlserver", "healthcheck") == "ready\n"
    engine.run("podman", "healthcheck", "run", container.id)
    assert engine.stop(container) == 0


def test_a_user_of_no_known_group_can_read_files_that_only_their_owner_could(
    engine, slim, folder, start
):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS,
            "numbers_of_mine.py": "NUMBER = 5",
        }
    )
    for file in source.iterdir():
        file.chmod(0o600)
    source.chmod(0o700)
    engine.mlserver("build", source, "-t", "localhost/private:1")
    container = start("localhost/private:1", "--user", "71234:71234", "--read-only")
    assert container.infer("m", 1) == [5]


def test_files_that_no_image_needs_stay_out_of_it(engine, slim, folder):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": "",
            "libmine.so": "",
            "bin/tool": "",
            "a/__pycache__/models.cpython-311.pyc": "",
            ".git/config": "",
            ".env": "SECRET=1",
            ".venv/bin/python": "",
        }
    )
    done = engine.try_(*MLSERVER, "build", source, "-t", "localhost/ignoring:1")
    kept = ["./bin/tool", "./libmine.so", "./model-settings.json", "./models.py"]
    assert files_of(engine, "localhost/ignoring:1") == kept
    assert f"Note: {source / '.env'} is left out of the image" in done.stderr


@pytest.fixture(scope="session")
def docker(engine):
    """The variables with which the client of Docker talks to Podman."""
    if shutil.which("docker") is None:
        pytest.skip("there is no client of Docker here")
    address = f"unix://{engine.folder}/podman.sock"
    command = ["podman", "system", "service", "--time=0", address]
    with subprocess.Popen(command, env=engine.environ) as service:
        until = time.monotonic() + 30
        while engine.try_("docker", "version", DOCKER_HOST=address).returncode != 0:
            assert time.monotonic() < until, "Podman's service does not answer"
            time.sleep(0.1)
        yield {"DOCKER_HOST": address}
        service.terminate()


def test_docker_builds_and_runs_the_same_through_its_daemons_interface(engine, seed, docker, start):
    source = EXAMPLES / "custom-runtimes"
    printed = engine.mlserver("build", source, "-t", "localhost/seed:docker", **docker)
    assert "Built localhost/seed:docker with docker" in printed
    assert files_of(engine, "localhost/seed:docker") == files_of(engine, seed[0])
    options = ("--user", "71234", "--read-only")
    container = start("localhost/seed:docker", *options, tool="docker", **docker)
    assert container.infer("my-custom-runtime", 1, 2.5) == [2, 5]
    assert infer_grpc(container, "my-custom-runtime", 1, 2.5) == [[2, 5]]


def test_docker_follows_an_ignore_file_of_the_folder(engine, slim, docker, folder):
    source = folder(**{".dockerignore": "secret\n.dockerignore\n", "secret": "1", "kept": "1"})
    engine.mlserver("build", source, "-t", "localhost/own:docker", **docker)
    assert files_of(engine, "localhost/own:docker") == ["./kept"]


def test_podman_follows_an_ignore_file_of_the_folder(engine, slim, folder):
    source = folder(**{".dockerignore": "secret\n.dockerignore\n", "secret": "1", "kept": "1"})
    engine.mlserver("build", source, "-t", "localhost/own:1", "--builder", "podman")
    assert files_of(engine, "localhost/own:1") == ["./kept"]


def test_buildah_builds_the_same(engine, seed):
    source = EXAMPLES / "custom-runtimes"
    tag = ("-t", "localhost/seed:buildah")
    assert "with buildah" in engine.mlserver("build", source, *tag, "--builder", "buildah")
    assert files_of(engine, "localhost/seed:buildah") == files_of(engine, seed[0])


def test_requirements_are_there_where_the_server_runs(engine, slim, folder, start):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS.replace("numbers_of_mine as found", "roman").replace(
                "found.NUMBER", "roman.fromRoman('XIV')"
            ),
            "requirements.txt": "roman==5.1\n",
        }
    )
    engine.mlserver("build", source, "-t", "localhost/requirements:1")
    assert start("localhost/requirements:1").infer("m", 1) == [14]


def test_requirements_may_name_other_files_of_the_folder(engine, slim, folder, start):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS,
            "requirements.txt": "-r requirements/serving.txt\n",
            "requirements/serving.txt": "./requirements/mine\n",
            "requirements/mine/setup.cfg": (
                "[metadata]\nname = mine\nversion = 1\n[options]\npy_modules = numbers_of_mine\n"
            ),
            "requirements/mine/pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n',
            "requirements/mine/numbers_of_mine.py": "NUMBER = 7\n",
        }
    )
    engine.mlserver("build", source, "-t", "localhost/local:1")
    assert start("localhost/local:1").infer("m", 1) == [7]


def test_a_step_that_fails_ends_the_build_with_its_reason(engine, slim, folder):
    source = folder(**{"requirements.txt": "roman==0.0.0.1\n"})
    done = engine.try_(*MLSERVER, "build", source, "-t", "localhost/failing:1")
    assert done.returncode == 1
    assert "No matching distribution found for roman==0.0.0.1" in done.stderr
    assert "Error: podman build failed with exit code 1" in done.stderr


@pytest.fixture(scope="session")
def embedding(engine, slim, tmp_path_factory):
    """The image of a folder with settings, a model at its root and another below."""
    source = tmp_path_factory.mktemp("embedding")
    (source / "settings.json").write_text('{"server_name": "of-the-image", "parallel_workers": 0}')
    (source / "model-settings.json").write_text(
        '{"name": "root", "implementation": "models.Around", "platform": "of-the-image"}'
    )
    (source / "models.py").write_text(MODELS)
    (source / "numbers_of_mine.py").write_text("NUMBER = 1")
    inner = source / "inner"
    inner.mkdir()
    (inner / "model-settings.json").write_text(
        '{"name": "inner", "implementation": "models.Around"}'
    )
    (inner / "models.py").write_text(MODELS)
    (inner / "numbers_of_mine.py").write_text("NUMBER = 2")
    engine.mlserver("build", source, "-t", "localhost/embedding:1")
    return "localhost/embedding:1"


def test_embedded_models_and_settings_are_there_without_a_word(embedding, start):
    container = start(embedding)
    assert container.get("/v2")["name"] == "of-the-image"
    assert container.get("/v2/models/root")["platform"] == "of-the-image"
    assert container.infer("root", 1) == [1]
    assert container.infer("inner", 1) == [2]


def test_the_environment_overrides_settings_of_the_image(embedding, start):
    container = start(
        embedding,
        *("-e", "MLSERVER_SERVER_NAME=mine"),
        *("-e", "MLSERVER_MODEL_PLATFORM=mine"),
        *("-e", "MLSERVER_MODEL_NAME=renamed"),
    )
    assert container.get("/v2")["name"] == "mine"
    assert container.get("/v2/models/renamed")["platform"] == "mine"
    assert container.infer("renamed", 1) == [1]
    assert container.get("/v2/models/inner")["platform"] == "mine"


def test_mounted_files_override_those_of_the_image(embedding, start, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "settings.json").write_text('{"server_name": "mounted"}')
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model-settings.json").write_text('{"platform": "mounted"}')
    mounted = ("-v", f"{tmp_path}:/mnt/models:ro", "-e", "MLSERVER_MODELS_DIR=/mnt/models")
    container = start(embedding, *mounted)
    assert container.get("/v2")["name"] == "mounted"
    assert container.get("/v2/models/m")["platform"] == "mounted"
    assert container.infer("m", 1) == [1]  # the runtime is the default of the image


def test_a_mounted_folder_that_its_user_may_not_read_is_named(engine, embedding, tmp_path):
    tmp_path.chmod(0o700)
    mounted = ("-v", f"{tmp_path}:/mnt/models:ro", "-e", "MLSERVER_MODELS_DIR=/mnt/models")
    done = engine.try_("podman", "run", "--rm", "--pull=never", *mounted, embedding)
    assert done.returncode == 1
    assert "Error: /mnt/models/settings.json: cannot be read: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_health_check_knows_another_port(engine, embedding, start):
    container = start(embedding, "-e", "MLSERVER_HTTP_PORT=9000", http=9000)
    assert engine.run("podman", "exec", container.id, "mlserver", "healthcheck") == "ready\n"
