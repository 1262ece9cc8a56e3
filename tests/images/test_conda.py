"""A folder with a conda environment.

There is no conda to be had without its own channels, so that `conda/` stands for it: the command
is a double over py-rattler, which solves and installs for real, and the channel has a real Python.
conda-pack is the real one. That the options are those of the real command, and that packages of
conda-forge do as well, is not shown here.
"""

#: Says which Python it runs in, and which version of its dependency.
MODELS = """
import sys

import toydependency
from mlserver_core import MLModel
from mlserver_core.codecs import StringCodec
from mlserver_core.types import InferenceResponse


class Around(MLModel):
    def predict(self, payload):
        words = [sys.prefix, toydependency.VERSION, *self.others()]
        return InferenceResponse(outputs=[StringCodec.encode_output("y", words)])

    def others(self):
        OTHERS
"""
ENVIRONMENT = """
name: anything
channels: [conda-forge]
dependencies:
  - python=3.11
  - toydependency>=1.2
"""


def build(engine, conda_image, source, tag):
    argument = f"ENV_BUILDER_IMAGE={conda_image}"
    engine.mlserver("build", source, "-t", tag, "--build-arg", argument, "--", "--pull=never")


def test_the_server_runs_in_the_environment_that_was_unpacked_when_the_image_was_built(
    engine, slim, conda_image, folder, start
):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS.replace("OTHERS", "return []"),
            "environment.yaml": ENVIRONMENT,
        }
    )
    build(engine, conda_image, source, "localhost/conda:1")
    container = start("localhost/conda:1", "--user", "71234", "--read-only")
    assert container.infer("m", 1) == ["/opt/mlserver/environment", "1.2.0"]
    assert engine.run("podman", "exec", container.id, "mlserver", "healthcheck") == "ready\n"
    assert engine.stop(container) == 0


def test_requirements_are_added_to_the_environment(engine, slim, conda_image, folder, start):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS.replace(
                "OTHERS", "import roman, colorama; return [roman.toRoman(9), colorama.__version__]"
            ),
            "conda.yml": ENVIRONMENT + "  - pip\n  - pip:\n    - colorama==0.4.6\n",
            "requirements.txt": "roman==5.1\n",
        }
    )
    build(engine, conda_image, source, "localhost/conda:2")
    found = start("localhost/conda:2").infer("m", 1)
    assert found == ["/opt/mlserver/environment", "1.2.0", "IX", "0.4.6"]
