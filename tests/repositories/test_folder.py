from __future__ import annotations

import json

import pytest

from mlserver_core.repositories.folder import FolderRepository, find_settings

FILE = "model-settings.json"


@pytest.fixture
def add(tmp_path):
    """Writes a ``model-settings.json`` below the repository's root."""

    def write(folder, text=None, **values):
        file = tmp_path / "models" / folder / FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"implementation": "echo", **values}) if text is None else text)
        return file

    (tmp_path / "models").mkdir()
    return write


@pytest.fixture
def listing(tmp_path):
    """Lists the repository with an environment of the test's own."""

    def make(environ=None, **options):
        root = tmp_path / "models"
        return FolderRepository(root=root, environ=environ or {}, **options).read()

    return make


def test_settings_are_found_at_any_depth_in_order_of_their_paths(add, listing):
    for folder in ("b/deep/er", "a", "b", "."):
        add(folder, name=f"at {folder.replace('/', ' ')}")
    names = [model.name for model in listing().models]
    assert names == ["at a", "at b deep er", "at b", "at ."]


def test_hidden_folders_are_left_out(add, listing):
    add(".hidden/m")
    add("a/.git")
    assert listing().models == ()


def test_a_hidden_root_is_read(tmp_path, add):
    add("m")
    (tmp_path / "models").rename(tmp_path / ".models")
    assert len([*find_settings(tmp_path / ".models")]) == 1


def test_links_are_followed_as_kubernetes_mounts_files(add, tmp_path, listing):
    real = add("..2024_01/x")
    target = tmp_path / "models" / "m"
    target.mkdir()
    (target / FILE).symlink_to(real)
    (tmp_path / "models" / "linked").symlink_to(add("..2024_01/y").parent)
    names = [model.source for model in listing().models]
    assert len(names) == 2


def test_links_in_a_circle_end(add, tmp_path, listing):
    add("a")
    (tmp_path / "models" / "a" / "again").symlink_to(tmp_path / "models")
    assert [model.name for model in listing().models] == ["a"]


def test_a_model_without_a_name_is_called_as_its_folder(add, listing):
    add("iris")
    assert listing().models[0].name == "iris"


def test_versions_of_one_model_are_models_of_their_own(add, listing):
    for version in ("1", "2"):
        add(version, name="m", parameters={"version": version})
    assert [(model.name, model.version) for model in listing().models] == [("m", "1"), ("m", "2")]


def test_two_files_for_one_model_and_version_are_refused_with_both_names(add, listing):
    first, second = add("a", name="m"), add("b", name="m")
    found = listing()
    assert [model.source for model in found.models] == [first]
    [refused] = found.unreadable
    assert refused.name == "m"
    assert f"{second}: model m is also described by {first}" in refused.problems[0]


def test_every_problem_of_every_file_is_named(add, listing):
    first = add("a", text="{")
    second = add("b", predict_threads=0)
    third = add("c", text='{"name": "x"}')
    add("good")
    found = listing()
    assert [model.name for model in found.models] == ["good"]
    assert [each.name for each in found.unreadable] == ["a", "b", "x"]
    problems = [problem for each in found.unreadable for problem in each.problems]
    text = "\n".join(problems)
    assert f"{first}: is not valid JSON" in text
    assert f"{second}: predict_threads: expected at least 1, got 0" in text
    assert f"{third}: implementation: required, but missing" in text
    assert len(problems) == 3


def test_an_unknown_key_warns_or_with_strict_is_refused(add, listing):
    file = add("a", implementaton="x")
    assert listing().warnings == (
        f"{file}: implementaton: unknown key; did you mean 'implementation'?",
    )
    [refused] = listing(strict=True).unreadable
    assert "implementaton" in refused.problems[0]


def test_the_environment_fills_in_what_files_leave_out(add, listing):
    add("a")
    add("b", implementation="own.Model")
    models = listing({"MLSERVER_MODEL_IMPLEMENTATION": "other", "MLSERVER_MODEL_PLATFORM": "p"})
    assert [model.implementation for model in models.models] == ["echo", "own.Model"]
    assert {model.platform for model in models.models} == {"p"}


def test_without_any_file_the_environment_may_describe_one_model(listing, add):
    found = listing({"MLSERVER_MODEL_IMPLEMENTATION": "echo", "MLSERVER_MODEL_NAME": "iris"})
    assert [(model.name, model.implementation) for model in found.models] == [("iris", "echo")]
    assert found.models[0].source is None


def test_a_dotenv_file_lies_below_the_environment(listing, add, tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("MLSERVER_MODEL_IMPLEMENTATION=echo\nMLSERVER_MODEL_NAME=from-file\n")
    assert listing(dotenv=dotenv).models[0].name == "from-file"
    environ = {"MLSERVER_MODEL_NAME": "from-environment"}
    assert listing(environ, dotenv=dotenv).models[0].name == "from-environment"


def test_a_folder_without_models_lists_none(listing, add):
    assert listing().models == ()


def test_a_file_that_cannot_be_read_is_a_problem_with_its_name(add, tmp_path, listing):
    add("a").unlink()
    (tmp_path / "models" / "a" / FILE).symlink_to(tmp_path / "gone.json")
    [refused] = listing().unreadable
    assert "cannot be read" in refused.problems[0]


async def test_list_and_find_read_the_folder_in_a_thread(add, tmp_path):
    add("m", parameters={"version": "1"})
    add("n")
    add("broken", text="{", name="broken")
    repository = FolderRepository(root=tmp_path / "models", environ={})
    assert await repository.list() == repository.read()
    assert [model.name for model in (await repository.find("m")).models] == ["m"]
    assert (await repository.find("m")).unreadable == ()
    assert (await repository.find("broken")).unreadable[0].name == "broken"
    assert (await repository.find("../m")).models == ()
