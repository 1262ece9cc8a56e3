from __future__ import annotations

import pytest

from mlserver_core import find_artifact, get_model_uri
from mlserver_core.errors import InvalidModelURI
from mlserver_core.settings import ModelSettings


@pytest.fixture
def settings(tmp_path):
    """Settings of a model whose file is in the test's own folder."""

    def make(uri, *, source=True):
        parameters = None if uri is None else {"uri": uri}
        made = ModelSettings(name="m", implementation="m.M", parameters=parameters)
        made.source = tmp_path / "model-settings.json" if source else None
        return made

    return make


async def test_a_relative_file_starts_at_the_folder_of_the_settings(settings, tmp_path):
    (tmp_path / "model.bin").touch()
    for uri in ("model.bin", "./model.bin"):
        assert await get_model_uri(settings(uri)) == str(tmp_path / "model.bin")


def test_a_relative_file_of_settings_made_in_code_starts_at_the_current_folder(
    settings, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").touch()
    assert find_artifact(settings("model.bin", source=False)) == str(tmp_path / "model.bin")


def test_absolute_paths_and_file_uris_are_taken_as_they_are(settings, tmp_path):
    file = tmp_path / "my model #1.bin"
    file.touch()
    for uri in (str(file), file.as_uri()):
        assert find_artifact(settings(uri)) == str(file)


def test_the_first_well_known_file_in_a_folder_is_meant(settings, tmp_path):
    (tmp_path / "second.bin").touch()
    (tmp_path / "third.bin").touch()
    names = ["first.bin", "second.bin", "third.bin"]
    assert find_artifact(settings("."), names) == str(tmp_path / "second.bin")


def test_a_folder_without_well_known_files_is_the_artifact_itself(settings, tmp_path):
    assert find_artifact(settings(str(tmp_path)), ["first.bin"]) == str(tmp_path)
    (tmp_path / "first.bin").mkdir()
    assert find_artifact(settings(str(tmp_path)), ["first.bin"]) == str(tmp_path)


def test_well_known_names_do_not_stand_in_for_a_file_that_is_named(settings, tmp_path):
    (tmp_path / "mine.bin").touch()
    (tmp_path / "first.bin").touch()
    assert find_artifact(settings("mine.bin"), ["first.bin"]) == str(tmp_path / "mine.bin")


@pytest.mark.parametrize("uri", ["s3://bucket/model", "https://host/model.bin"])
def test_other_schemes_are_the_runtimes_business(settings, uri):
    assert find_artifact(settings(uri)) == uri


@pytest.mark.parametrize("uri", [None, ""])
def test_no_uri_is_refused(settings, uri):
    with pytest.raises(InvalidModelURI) as refused:
        find_artifact(settings(uri))
    assert str(refused.value) == "Invalid URI specified for model m"


@pytest.mark.parametrize("uri", ["missing.bin", "/nowhere/of/test", "file:///nowhere/of/test"])
async def test_an_artifact_that_is_not_there_is_refused_with_its_uri(settings, uri):
    with pytest.raises(InvalidModelURI) as refused:
        await get_model_uri(settings(uri), ["model.bin"])
    assert str(refused.value) == f"Invalid URI specified for model m ({uri})"
