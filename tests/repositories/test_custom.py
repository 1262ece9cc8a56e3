from __future__ import annotations

import sys

import pytest

from mlserver_core.errors import ModelNotFound, StartupError
from mlserver_core.repositories.custom import CustomRepository, make_custom_repository
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.settings import ModelSettings

ECHO = ModelSettings(name="echo", implementation="echo")
CODE = """
from mlserver_core import ModelSettings
from mlserver_core.errors import ModelNotFound
from mlserver_core.repository import ModelRepository

class OneEcho(ModelRepository):
    def __init__(self, root, name="echo"):
        super().__init__(root)
        if name == "bad":
            raise ValueError("bad name")
        self.name = name

    async def list(self):
        return [ModelSettings(name=self.name, implementation="echo", platform=self._root)]

    async def find(self, name):
        if name != self.name:
            raise ModelNotFound(name)
        return await self.list()

class Half:
    def list(self): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_repository_of_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_repository_of_test"
    sys.modules.pop("my_repository_of_test", None)


async def test_the_class_gets_root_and_its_arguments(module):
    made = make_custom_repository(f"{module}.OneEcho", "s3://bucket", {"name": "mine"})
    [found] = (await made.list()).models
    assert (found.name, found.platform) == ("mine", "s3://bucket")
    assert (await made.find("mine")).models == (found,)
    assert await made.find("other") == Listing(())


@pytest.mark.parametrize(
    ("path", "arguments", "text"),
    [
        ("nowhere_of_test.X", {}, "cannot be imported: No module named 'nowhere_of_test'"),
        ("{}.Nothing", {}, "cannot be imported: module"),
        ("{}.Half", {}, "has no method find"),
        ("{}.OneEcho", {"name": "bad"}, "ValueError: bad name"),
        ("{}.OneEcho", {"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_class_that_cannot_be_used_stops_the_start_and_says_why(module, path, arguments, text):
    with pytest.raises(StartupError) as refused:
        make_custom_repository(path.format(module), "/x", arguments)
    assert "model_repository_implementation" in str(refused.value)
    assert text in str(refused.value)


async def test_methods_may_be_plain_and_return_a_listing():
    class Plain:
        def list(self):
            return Listing((ECHO,), ("careful",))

        def find(self, name):
            raise ModelNotFound(name)

    made = CustomRepository(Plain())
    assert (await made.list()).warnings == ("careful",)
    assert (await made.find("echo")).models == ()


def test_a_server_serves_the_models_of_a_class_of_the_users(serve, tmp_path):
    (tmp_path / "repo_of_test.py").write_text(CODE)
    server = serve(
        tmp_path,
        "--set",
        "model_repository_implementation=repo_of_test.OneEcho",
        "--set",
        'model_repository_implementation_args={"name": "mine"}',
    )
    assert any("Loaded model mine" in line for line in server.lines)
