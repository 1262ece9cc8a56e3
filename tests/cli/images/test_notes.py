from __future__ import annotations

import pytest

from mlserver_core.cli.images.notes import find_notes

MODEL = '{"name": "mine", "implementation": "echo"}'


@pytest.fixture
def notes(tmp_path):
    """What is said of a folder with these files."""

    def find(**files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return list(find_notes(tmp_path))

    return find


def test_of_a_folder_with_models_there_is_nothing_to_say(notes):
    assert notes(**{"model-settings.json": MODEL}) == []
    assert notes(**{"inner/model-settings.json": "{}"}) == []


def test_a_folder_without_models_may_be_the_wrong_one(notes):
    (note,) = notes(**{"models.py": ""})
    assert note.startswith("there is no model-settings.json in or below")


def test_a_model_at_the_root_without_a_name_is_told_its_name_in_the_image(notes):
    (note,) = notes(**{"model-settings.json": '{"implementation": "echo"}'})
    assert "in the image it is called 'models'" in note


def test_a_dotenv_file_is_said_to_stay_out(notes):
    (note,) = notes(**{"model-settings.json": MODEL, ".env": "TOKEN=1"})
    assert ".env is left out of the image" in note


@pytest.mark.parametrize("name", [".dockerignore", ".containerignore"])
@pytest.mark.parametrize("rules", ["*.md\n", "", "!.env\n", "env\n"])
def test_a_dotenv_file_that_rules_of_the_folder_let_in_is_told(notes, name, rules):
    (note,) = notes(**{"model-settings.json": MODEL, ".env": "TOKEN=1", name: rules})
    assert f"{name} does not name .env" in note


@pytest.mark.parametrize("rules", [".env", "*.md\n**/.env\n", "/.env", ".env*", "*"])
def test_a_dotenv_file_that_rules_of_the_folder_leave_out_is_not(notes, rules):
    files = {"model-settings.json": MODEL, ".env": "TOKEN=1", ".dockerignore": rules}
    assert notes(**files) == []
