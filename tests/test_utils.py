from __future__ import annotations

import uuid
from pathlib import Path

from mlserver_core import utils
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters


async def test_get_model_uri_finds_the_artifact(tmp_path):
    (tmp_path / "model.bin").touch()
    settings = ModelSettings(implementation="a", parameters={"uri": str(tmp_path)})
    found = await utils.get_model_uri(settings, wellknown_filenames=["model.bin"])
    assert found == str(tmp_path / "model.bin")


def test_a_relative_path_starts_at_the_settings_file():
    settings = ModelSettings(implementation="a", source=Path("/models/m/model-settings.json"))
    assert utils.to_absolute_path(settings, "x.bin") == "/models/m/x.bin"
    assert utils.to_absolute_path(settings, "/x.bin") == "/x.bin"
    assert utils.to_absolute_path(ModelSettings(implementation="a"), "x") == str(Path.cwd() / "x")


def test_ids_are_uuids_and_differ():
    assert uuid.UUID(utils.generate_uuid()).version == 4
    assert utils.generate_uuid() != utils.generate_uuid()


def test_headers_go_in_and_come_out_of_parameters():
    request = utils.insert_headers(InferenceRequest(inputs=[]), {"a": "1"})
    assert request.parameters.headers == {"a": "1"}
    response = InferenceResponse(outputs=[], parameters=Parameters(headers={"b": "2"}, kept=1))
    assert utils.extract_headers(response) == {"b": "2"}
    assert utils.extract_headers(response) is None
    assert response.parameters.kept == 1
