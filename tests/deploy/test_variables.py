"""Every ``MLSERVER_`` variable of a manifest is one that the server reads, and takes its value."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mlserver_core.errors import SettingsError
from mlserver_core.settings import ModelParameters, ModelSettings, Settings
from mlserver_core.settings.loading import load_implicit_model, load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
WITH_VARIABLES = sorted(
    str(path.relative_to(DEPLOY))
    for path in DEPLOY.rglob("*.yaml")
    if "MLSERVER_" in path.read_text(encoding="utf-8")
)
#: What KServe writes in place of its placeholders.
FILLED = {"{{.Name}}": "iris", "{{.Labels.modelClass}}": "mlserver_sklearn.SKLearnModel"}


def names(cls, prefix):
    fields = attrs.fields(cls)
    return {prefix + field.name.upper() for field in fields if "help" in field.metadata}


def check(environment, folder):
    """As ``mlserver start --strict`` reads it; of a model's variables that takes any."""
    loaded = load_settings(folder, environment, strict=True)
    assert loaded.warnings == ()
    described = {"MLSERVER_MODEL_IMPLEMENTATION": "x", **environment}
    load_implicit_model(folder, described, strict=True)
    model = names(ModelSettings, "MLSERVER_MODEL_") | names(ModelParameters, "MLSERVER_MODEL_")
    ours = [name for name in environment if name.startswith("MLSERVER_MODEL_")]
    assert set(ours) <= model | names(Settings, "MLSERVER_")


def test_there_are_manifests_of_every_kind():
    folders = {path.split("/")[0] for path in WITH_VARIABLES}
    assert folders == {"compose", "kserve", "kubernetes", "seldon-core-2"}


@pytest.mark.parametrize("path", WITH_VARIABLES)
def test_the_server_reads_every_variable_of_the_manifest(environment, path, tmp_path):
    given = environment(path)
    assert all(type(value) is str for value in given.values())  # a bare 10 or on is none
    check({name: FILLED.get(value, value) for name, value in given.items()}, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"MLSERVER_DRAIN_DELLAY": "10"},
        {"MLSERVER_MODELS_DIRS": "/mnt/models"},
        {"MLSERVER_MODEL_CLASS": "sklearn"},
        {"MLSERVER_MODEL_REPOSITORY_API": "yes, please"},
        {"MLSERVER_KAFKA_ENABLED": "true"},
    ],
)
def test_misspelt_variable_wrong_value_or_one_without_effect_would_be_found(wrong, tmp_path):
    with pytest.raises((SettingsError, AssertionError)):
        check({"MLSERVER_MODELS_DIR": "/mnt/models", **wrong}, tmp_path)
