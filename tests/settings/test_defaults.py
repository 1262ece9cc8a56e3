"""What an image brings lies below all else that says how a server or a model is set."""

import json

import pytest

from mlserver_core.errors import SettingsError
from mlserver_core.repositories.folder import FolderRepository
from mlserver_core.settings import ModelParameters
from mlserver_core.settings.loading import (
    load_implicit_model,
    load_model_settings,
    load_settings,
)


class Image:
    """A folder that an image brings, and another that is mounted."""

    def __init__(self, folder):
        self.embedded, self.base, self.mounted = (
            folder / name for name in ("embedded", "base", "mounted")
        )
        for each in (self.embedded, self.base, self.mounted):
            each.mkdir()
        self.environ = {"MLSERVER_DEFAULTS_DIRS": f"{self.embedded}:{self.base}"}

    def write(self, folder, file, /, **values):
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(json.dumps(values))
        return folder / file

    def settings(self, folder, **env):
        loaded = load_settings(folder, {**self.environ, **env}, dotenv=self.embedded / ".env")
        assert loaded.warnings == ()
        return loaded.value

    def model(self, file, **env):
        loaded = load_model_settings(file, {**self.environ, **env})
        assert loaded.warnings == ()
        return loaded.value

    def implicit(self, **env):
        return load_implicit_model(self.mounted, {**self.environ, **env}).value


@pytest.fixture
def image(tmp_path):
    return Image(tmp_path)


def test_settings_of_an_image_lie_below_a_file_and_the_environment(image):
    image.write(image.embedded, "settings.json", http_port=1)
    assert image.settings(image.embedded).http_port == 1
    assert image.settings(image.mounted).http_port == 1
    assert image.settings(image.embedded, MLSERVER_HTTP_PORT="2").http_port == 2
    image.write(image.mounted, "settings.json", http_port=3)
    assert image.settings(image.mounted).http_port == 3
    assert image.settings(image.mounted, MLSERVER_HTTP_PORT="2").http_port == 2


def test_the_first_folder_with_defaults_is_above_the_next(image):
    image.write(image.base, "settings.json", http_port=1, grpc_port=1)
    image.write(image.embedded, "settings.json", http_port=2)
    made = image.settings(image.mounted)
    assert (made.http_port, made.grpc_port) == (2, 1)


def test_any_settings_file_is_above_a_dotenv_file_of_an_image(image):
    (image.base / ".env").write_text("MLSERVER_HOST=0.0.0.0\nMLSERVER_HTTP_PORT=1\n")
    (image.embedded / ".env").write_text("MLSERVER_HTTP_PORT=2\nMLSERVER_GRPC_PORT=2\n")
    image.write(image.embedded, "settings.json", grpc_port=3)
    made = image.settings(image.mounted)
    assert (made.host, made.http_port, made.grpc_port) == ("0.0.0.0", 2, 3)
    image.write(image.embedded, "settings.json", host="::1")
    assert image.settings(image.mounted).host == "::1"


def test_a_problem_in_defaults_is_told_with_the_file(image):
    file = image.write(image.embedded, "settings.json", http_port="many")
    with pytest.raises(SettingsError) as caught:
        image.settings(image.mounted)
    assert caught.value.problems[0].startswith(f"{file}: http_port: ")


def test_defaults_that_are_not_there_are_none(image):
    environ = {"MLSERVER_DEFAULTS_DIRS": f":{image.base}/none:"}
    assert load_settings(image.mounted, environ).value.http_port == 8080
    assert load_implicit_model(image.mounted, environ) is None


def test_a_loop_of_links_holds_no_defaults(image):
    (image.base / "loop").symlink_to("loop")
    file = image.write(image.mounted / "b", "model-settings.json", implementation="m.B")
    environ = {"MLSERVER_DEFAULTS_DIRS": f"{image.base}/loop"}
    assert load_model_settings(file, environ).value.implementation == "m.B"


def test_the_environment_is_above_the_model_that_an_image_brings(image):
    file = image.write(
        image.embedded,
        "model-settings.json",
        name="a",
        implementation="m.A",
        parameters={"uri": "a.bin", "content_type": "np"},
    )
    made = image.model(file)
    assert (made.name, made.implementation, made.source) == ("a", "m.A", file)
    made = image.model(
        file, MLSERVER_MODEL_NAME="b", MLSERVER_MODEL_URI="/b.bin", MLSERVER_MODEL_PLATFORM="p"
    )
    assert (made.name, made.platform, made.implementation) == ("b", "p", "m.A")
    assert made.parameters == ModelParameters(uri="/b.bin", content_type="np")


def test_models_below_the_one_of_an_image_take_nothing_from_it(image):
    image.write(image.embedded, "model-settings.json", implementation="m.A", max_batch_size=9)
    inner = image.write(image.embedded / "inner", "model-settings.json", implementation="m.B")
    made = image.model(inner, MLSERVER_MODEL_PLATFORM="p")
    assert (made.name, made.max_batch_size, made.platform) == ("inner", 0, "p")
    made = image.model(inner, MLSERVER_MODEL_IMPLEMENTATION="m.C")
    assert made.implementation == "m.B"


def test_models_elsewhere_have_the_defaults_of_the_image_but_who_it_is(image):
    image.write(
        image.embedded,
        "model-settings.json",
        name="a",
        implementation="m.A",
        max_batch_size=9,
        parameters={"uri": "a.bin", "version": "v1", "content_type": "np", "extra": {"k": 1}},
    )
    file = image.write(
        image.mounted / "b", "model-settings.json", max_batch_size=2, parameters={"format": "f"}
    )
    made = image.model(file)
    assert (made.name, made.implementation, made.max_batch_size) == ("b", "m.A", 2)
    assert made.parameters == ModelParameters(
        uri=str(file.parent), content_type="np", extra={"k": 1}, format="f"
    )
    assert image.model(file, MLSERVER_MODEL_IMPLEMENTATION="m.C").implementation == "m.C"


@pytest.mark.parametrize("name", ["environment_tarball", "environment_path"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("./mine.tar", "{}/mine.tar"),
        ("../mine", "{}/../mine"),
        ("/envs/mine", "/envs/mine"),
        ("~/mine", "~/mine"),
        ("$HOME/mine", "$HOME/mine"),
        ("", ""),
        (None, None),
    ],
)
def test_an_environment_of_an_image_is_looked_for_in_the_image(image, name, given, expected):
    image.write(
        image.embedded, "model-settings.json", implementation="m.A", parameters={name: given}
    )
    made = image.model(image.write(image.mounted / "b", "model-settings.json"))
    found = expected and expected.format(image.embedded)
    assert getattr(made.parameters, name) == found
    assert made.has_environment is bool(given)


def test_where_nothing_is_mounted_the_model_of_the_image_is_the_implicit_one(image):
    file = image.write(image.embedded, "model-settings.json", implementation="m.A", name="a")
    made = image.implicit()
    assert (made.name, made.implementation, made.source) == ("a", "m.A", file)
    assert made.parameters.uri == str(image.mounted)
    made = image.implicit(MLSERVER_MODEL_IMPLEMENTATION="m.B", MLSERVER_MODEL_URI="/b")
    assert (made.name, made.implementation, made.parameters.uri) == ("a", "m.B", "/b")


def test_a_relative_artifact_of_the_image_is_looked_for_in_the_image(image):
    image.write(
        image.embedded, "model-settings.json", implementation="m.A", parameters={"uri": "a.bin"}
    )
    made = image.implicit()
    assert made.folder / made.parameters.uri == image.embedded / "a.bin"


def test_defaults_need_not_say_what_the_environment_does(image):
    file = image.write(image.embedded, "model-settings.json", max_batch_size=9)
    assert image.model(file, MLSERVER_MODEL_IMPLEMENTATION="m.A").max_batch_size == 9
    with pytest.raises(SettingsError) as caught:
        image.model(file)
    assert caught.value.problems == (f"{file}: implementation: required, but missing",)


def test_the_folder_of_an_image_serves_its_root_model_and_those_below(image):
    image.write(image.embedded, "model-settings.json", name="a", implementation="m.A")
    image.write(image.embedded / "inner", "model-settings.json", implementation="m.B")
    environ = {**image.environ, "MLSERVER_MODEL_PLATFORM": "p"}
    found = FolderRepository(root=image.embedded, environ=environ).read()
    assert [(each.name, each.platform) for each in found.models] == [("inner", "p"), ("a", "p")]


def test_models_that_are_mounted_take_the_place_of_the_one_of_the_image(image):
    image.write(image.embedded, "model-settings.json", name="a", implementation="m.A")
    repository = FolderRepository(root=image.mounted, environ=image.environ)
    assert [each.name for each in repository.read().models] == ["a"]
    image.write(image.mounted / "b", "model-settings.json")
    assert [(each.name, each.implementation) for each in repository.read().models] == [("b", "m.A")]
