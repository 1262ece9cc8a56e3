"""A folder with a conda environment.

There is no conda to be had without its own channels, so that `conda/` stands for it: the command
is a double over py-rattler, which solves and installs for real, and the channel has a real Python.
conda-pack is the real one. That the options are those of the real command, and that packages of
conda-forge do as well, is not shown here.
"""

#: Says which Python it runs in, and which versions of its dependencies.
MODELS = """
import sys

import colorama
import roman
import toydependency
from mlserver_core import MLModel
from mlserver_core.codecs import StringCodec
from mlserver_core.types import InferenceResponse


class Around(MLModel):
    def predict(self, payload):
        words = [sys.prefix, toydependency.VERSION, roman.toRoman(9), colorama.__version__]
        return InferenceResponse(outputs=[StringCodec.encode_output("y", words)])
"""
ENVIRONMENT = """
name: anything
channels: [conda-forge]
dependencies:
  - python=3.11
  - toydependency>=1.2
  - pip
  - pip:
    - -r pip.txt
"""


def test_the_server_runs_in_the_environment_with_what_pip_adds_to_it(
    engine, slim, conda_image, folder, start
):
    source = folder(
        **{
            "model-settings.json": {"name": "m", "implementation": "models.Around"},
            "models.py": MODELS,
            "conda.yml": ENVIRONMENT,
            "pip.txt": "colorama==0.4.6\n",
            "requirements.txt": "roman==5.1\n",
        }
    )
    argument = f"ENV_BUILDER_IMAGE={conda_image}"
    tag = ("-t", "localhost/conda:1")
    engine.mlserver("build", source, *tag, "--build-arg", argument, "--", "--pull=never")
    container = start("localhost/conda:1", "--user", "71234", "--read-only")
    found = container.infer("m", 1)
    assert found == ["/opt/mlserver/environment", "1.2.0", "IX", "0.4.6"]
    assert engine.run("podman", "exec", container.id, "mlserver", "healthcheck") == "ready\n"
    assert engine.stop(container) == 0
