"""``mlserver dockerfile``, and Buildah for the rest."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def written(engine, slim, tmp_path):
    """A copy of the seed page's runtimes with its Dockerfile."""
    engine.run("cp", "-r", EXAMPLES / "custom-runtimes", tmp_path / "seed")
    engine.mlserver("dockerfile", tmp_path / "seed")
    return tmp_path / "seed"


def test_buildah_builds_what_was_written(engine, written, start):
    bud = ("buildah", "bud", "--format", "docker", "--pull-never")
    engine.run(*bud, "-t", "localhost/seed:bud", written)
    container = start("localhost/seed:bud", "--user", "71234", "--read-only")
    assert container.infer("my-custom-runtime", 4) == [8]
    listed = engine.run("podman", "exec", container.id, "ls", "-A").split()
    assert sorted(listed) == ["README.md", "my-custom-runtime", "read-headers", "write-headers"]


def test_any_base_image_with_the_server_will_do(engine, written, start):
    (written / "base").write_text(
        "FROM localhost/mlserver-core:slim\n"
        "USER 0\nENV MLSERVER_MODELS_DIR= MLSERVER_DEFAULTS_DIRS=\n"
        "RUN rm -rf /opt/mlserver/models /opt/mlserver/defaults /opt/mlserver/wheels\n"
        "WORKDIR /\n"
    )
    engine.run("podman", "build", "-f", written / "base", "-t", "localhost/other-base", written)
    engine.mlserver("build", written, "--base-image", "localhost/other-base", "-t", "localhost/o:1")
    assert start("localhost/o:1").infer("my-custom-runtime", 4) == [8]
