from __future__ import annotations

import pytest

from mlserver_core.errors import ModelNotFound
from mlserver_core.repository import ModelRepository, SchemalessModelRepository


async def test_a_schemaless_repository_reads_a_folder_and_logs_what_it_cannot_use(
    model_folder, tmp_path, caplog
):
    model_folder("good", implementation="echo")
    model_folder("bad")
    repository = SchemalessModelRepository(str(tmp_path))
    assert [model.name for model in await repository.list()] == ["good"]
    assert "implementation: required, but missing" in caplog.text
    assert [model.name for model in await repository.find("good")] == ["good"]
    with pytest.raises(ModelNotFound, match="Model nope not found"):
        await repository.find("nope")


async def test_a_subclass_may_change_the_list(model_folder, tmp_path):
    class Renamed(SchemalessModelRepository):
        async def list(self):
            models = await super().list()
            for model in models:
                model.name = f"my-{model.name}"
            return models

    model_folder("good", implementation="echo")
    assert len(await Renamed(str(tmp_path)).find("my-good")) == 1


def test_list_and_find_have_to_be_written():
    with pytest.raises(TypeError, match="abstract"):
        ModelRepository("x")
