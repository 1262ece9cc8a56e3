"""A model with an environment that conda-pack has packed, beside one without, in one image."""

import json

MODELS = """
import sys
from importlib import metadata

from mlserver_core import MLModel
from mlserver_core.codecs import StringCodec
from mlserver_core.types import InferenceResponse


class Around(MLModel):
    def predict(self, payload):
        words = [metadata.version("roman"), sys.prefix]
        return InferenceResponse(outputs=[StringCodec.encode_output("y", words)])
"""
ENVIRONMENT = """
name: anything
dependencies:
  - python=3.11
  - pip
  - pip:
    - --find-links=/out/wheels
    - mlserver-core
    - roman==5.0
"""
PACK = """
cd /tmp && conda env create --quiet -p /tmp/conda -f /out/environment.yaml \
    && conda-pack -p /tmp/conda --ignore-missing-files -o /out/packed/environment.tar
"""


def test_each_model_has_its_own_version_of_a_dependency(engine, slim, conda_image, folder, start):
    settings = {"implementation": "models.Around"}
    tarball = {"parameters": {"environment_tarball": "./environment.tar"}}
    source = folder(
        **{
            "requirements.txt": "roman==5.1\n",
            "environment.yaml": ENVIRONMENT,
            "plain/model-settings.json": settings,
            "plain/models.py": MODELS,
            "packed/model-settings.json": {**settings, **tarball},
            "packed/models.py": MODELS,
        }
    )
    run = ("podman", "run", "--rm", "--pull=never", "--user", "0", "-v", f"{source}:/out")
    engine.run(*run, slim, "cp", "-r", "/opt/mlserver/wheels", "/out/")
    engine.run(*run, conda_image, "sh", "-c", PACK)
    (source / "environment.yaml").unlink()
    engine.run("rm", "-r", source / "wheels")
    engine.mlserver("build", source, "-t", "localhost/environments:1")

    container = start("localhost/environments:1", "--user", "71234", "--read-only")
    assert container.infer("plain", 1) == ["5.1", "/opt/mlserver/venv"]
    version, prefix = container.infer("packed", 1)
    assert version == "5.0"
    assert prefix.startswith("/tmp/mlserver/environments/")
    assert json.loads(engine.inspect(container.id, "{{json .State.Running}}"))
