from __future__ import annotations

import sys

import pytest

from mlserver_core.engine.implementation import find_class
from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.errors import ModelLoadError
from mlserver_core.hooks.registry import Registry
from mlserver_core.model import MLModel
from mlserver_core.runtimes.echo import EchoRuntime
from mlserver_core.settings import ModelSettings

ECHO = "mlserver_core.runtimes.echo.EchoRuntime"
MODEL = "from mlserver_core import MLModel\nclass Model(MLModel):\n    pass\n"


@pytest.fixture
def find(write, tmp_path):
    """Finds a class with a folder of modules beside the settings."""
    runtimes = Registry("runtime")
    runtimes.add("echo", ECHO)
    runtimes.add("mlserver_echo.EchoRuntime", ECHO)
    spaces = []

    def look(implementation, files=None, *, folder=True):
        settings = ModelSettings(name="m", implementation=implementation)
        if not folder:
            return find_class(settings, runtimes, None)
        for path, text in (files or {}).items():
            write(f"m/{path}", text)
        space = ModuleSpace(tmp_path / "m")
        spaces.append(space)
        space.open()
        with space.current():
            return find_class(settings, runtimes, space)

    yield look
    for space in spaces:
        space.close()


@pytest.fixture
def installed(write, monkeypatch, tmp_path):
    """Writes modules that are importable as if they were installed."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = set(sys.modules)
    yield lambda path, text: write(f"site/{path}", text)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("name", ["echo", "mlserver_echo.EchoRuntime", ECHO, EchoRuntime])
def test_a_runtime_is_found_by_short_name_alias_dotted_path_and_class(find, name, folder):
    assert find(name, folder=folder) is EchoRuntime


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models.py", "models.Model"),
        ("pkg/__init__.py", "pkg.Model"),
        ("pkg/inner.py", "pkg.inner.Model"),
        ("pkg/deep/models.py", "pkg.deep.models.Model"),
    ],
)
def test_a_dotted_path_is_looked_up_beside_the_settings_file(find, path, name):
    found = find(name, {path: MODEL})
    assert issubclass(found, MLModel)
    assert found.__name__ == "Model"


def test_a_nested_class_has_a_dotted_path(find):
    code = "from mlserver_core import MLModel\nclass Outer:\n    class Inner(MLModel): ...\n"
    assert find("models.Outer.Inner", {"models.py": code}).__qualname__ == "Outer.Inner"


def test_a_dotted_path_that_is_not_beside_the_file_is_an_installed_one(find, installed):
    installed("runtime_of_test/__init__.py", "")
    installed("runtime_of_test/models.py", MODEL)
    assert find("runtime_of_test.models.Model", {"models.py": ""}).__name__ == "Model"


def test_the_file_beside_the_settings_wins_over_the_installed_module(find, installed):
    installed("runtime_of_test.py", MODEL)
    found = find("runtime_of_test.Model", {"runtime_of_test.py": MODEL + "    own = True\n"})
    assert found.own


def test_a_registered_alias_wins_over_the_file_of_that_name(find):
    files = {"mlserver_echo.py": MODEL.replace("Model(", "EchoRuntime(")}
    assert find("mlserver_echo.EchoRuntime", files) is EchoRuntime


def test_an_unknown_name_gets_the_nearest_and_says_what_to_install(find):
    with pytest.raises(ModelLoadError) as refused:
        find("ecco")
    text = str(refused.value)
    assert "model 'm' failed to load: there is no runtime 'ecco'; did you mean 'echo'?" in text
    assert "Installed: echo, mlserver_echo.EchoRuntime" in text
    assert "Install the plugin that brings it, or" in text


def test_an_unknown_name_like_no_other_gets_no_guess(find):
    with pytest.raises(ModelLoadError) as refused:
        find("quite-another")
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("folder", [True, False])
def test_a_missing_module_is_named(find, folder):
    with pytest.raises(ModelLoadError) as refused:
        find("nowhere_of_test.Model", folder=folder)
    assert "implementation 'nowhere_of_test.Model': there is no module 'nowhere_of_test'" in str(
        refused.value
    )


def test_a_missing_module_of_a_package_is_named(find):
    with pytest.raises(ModelLoadError) as refused:
        find("pkg.missing.Model", {"pkg/__init__.py": ""})
    assert "'pkg' has no 'missing'" in str(refused.value) or "no module 'pkg.missing'" in str(
        refused.value
    )


@pytest.mark.parametrize("name", ["models.Modle", "models.Model.Inner"])
def test_a_missing_attribute_is_named(find, name):
    module, _, attribute = name.rpartition(".")
    with pytest.raises(ModelLoadError) as refused:
        find(name, {"models.py": MODEL})
    assert f"{module!r} has no {attribute!r}" in str(refused.value)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("import nowhere_of_test", ModuleNotFoundError, "nowhere_of_test"),
        ("from json import nothing_of_test", ImportError, "nothing_of_test"),
        ("import json\njson.nothing_of_test", AttributeError, "nothing_of_test"),
        ("1 / 0", ZeroDivisionError, "division"),
        ("this is no Python", SyntaxError, "syntax"),
    ],
)
@pytest.mark.parametrize("path", ["models.py", "pkg/models.py"])
def test_a_module_that_fails_keeps_its_own_error(find, path, code, kind, text):
    name = path.removesuffix(".py").replace("/", ".")
    with pytest.raises(kind, match=text):
        find(f"{name}.Model", {path: code})


def test_a_helper_that_fails_keeps_its_own_error(find):
    files = {"models.py": "import helpers\n" + MODEL, "helpers.py": "import nowhere_of_test"}
    with pytest.raises(ModuleNotFoundError, match="nowhere_of_test"):
        find("models.Model", files)


def test_an_installed_module_that_fails_keeps_its_own_error(find, installed):
    installed("runtime_of_test/__init__.py", "")
    installed("runtime_of_test/models.py", "import nowhere_of_test")
    with pytest.raises(ModuleNotFoundError, match="nowhere_of_test"):
        find("runtime_of_test.models.Model")


@pytest.mark.parametrize("name", ["models.Other", "models.function", "models.VALUE", "models.os"])
def test_what_is_no_mlmodel_is_refused(find, name):
    files = {"models.py": "import os\nVALUE = 1\nclass Other: ...\ndef function(): ...\n"}
    with pytest.raises(ModelLoadError, match=r"is not a subclass of mlserver_core\.MLModel"):
        find(name, files)


@pytest.mark.parametrize("implementation", [dict, 3, EchoRuntime.predict])
def test_an_object_that_is_no_mlmodel_is_refused(find, implementation):
    with pytest.raises(ModelLoadError, match=r"is not a subclass of mlserver_core\.MLModel"):
        find(implementation)
