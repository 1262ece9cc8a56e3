from __future__ import annotations

import json

import pytest

from mlserver_core.hooks.registry import Registry
from mlserver_core.repositories.plugin import mlserver_register_repositories


@pytest.fixture
def make():
    registry = Registry("repository")
    mlserver_register_repositories(registry)
    assert list(registry) == ["file"]
    return registry.get("file")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with one model, in a folder with a space in its name."""
    folder = tmp_path / "my models" / "iris"
    folder.mkdir(parents=True)
    text = json.dumps({"implementation": "echo", "unknown_of_test": 1})
    (folder / "model-settings.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder.parent


def test_a_root_is_a_path_or_a_file_uri(make, root):
    for name in (str(root), root.as_uri(), f"file://{root}", "my models"):
        assert [model.name for model in make(name, strict=False).read().models] == ["iris"], name


def test_strict_reaches_the_models(make, root):
    assert make(str(root), strict=False).strict is False
    assert make(str(root), strict=True).strict is True


def test_the_environment_and_the_dotenv_file_of_the_current_folder_count(
    make, root, monkeypatch, tmp_path
):
    monkeypatch.setenv("MLSERVER_MODEL_PLATFORM", "from environment")
    (tmp_path / ".env").write_text("MLSERVER_MODEL_VERSION=7\n")
    [model] = make(str(root), strict=False).read().models
    assert (model.platform, model.version) == ("from environment", "7")
