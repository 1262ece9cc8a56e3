from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import io
import os
import pickle
import sys
import threading
import typing
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest

from mlserver_core.engine.module_space import ModuleSpace


@pytest.fixture
def open_space(write, tmp_path):
    """Opens the space of a folder with the given files; all are closed at the end."""
    spaces = []

    def make(folder, files=None):
        for path, text in (files or {}).items():
            write(f"{folder}/{path}", text)
        space = ModuleSpace(tmp_path / folder)
        spaces.append(space)
        space.open()
        return space

    yield make
    for space in spaces:
        space.close()


@pytest.fixture
def installed(write, monkeypatch, tmp_path):
    """Writes a module or package that is importable as if it were installed."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = set(sys.modules)

    def make(path, text=""):
        write(f"site/{path}", text)
        importlib.invalidate_caches()

    yield make
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def pickle_of(module, attribute, **state):
    """A pickle of an instance of a class, as written where the module had its plain name."""
    stream = f"c{module}\n{attribute}\n(tR".encode()
    return stream + b"." if not state else stream + pickle.dumps(state, 0)[:-1] + b"b."


def loads_in_python(data):
    return pickle._Unpickler(io.BytesIO(data)).load()


def loads_in_joblib(data):
    return joblib.load(io.BytesIO(data))


LOADERS = {"c": pickle.loads, "python": loads_in_python, "joblib": loads_in_joblib}


@pytest.fixture(params=LOADERS)
def loads(request):
    return LOADERS[request.param]


def test_same_named_modules_of_two_folders_are_two_modules(open_space):
    first = open_space("a", {"models.py": "VALUE = 'a'"})
    second = open_space("b", {"models.py": "VALUE = 'b'"})
    assert first.import_module("models").VALUE == "a"
    assert second.import_module("models").VALUE == "b"
    assert first.import_module("models") is first.import_module("models")


@pytest.mark.parametrize(
    "statement",
    [
        "import helpers",
        "import helpers as helpers",
        "helpers = __import__('helpers')",
        "from importlib import import_module; helpers = import_module('helpers')",
        "import importlib; helpers = importlib.import_module('helpers')",
        "import importlib.util; helpers = importlib.import_module('helpers')",
        "import importlib.util as util, importlib; helpers = importlib.import_module('helpers')",
        "import importlib as i; helpers = i.import_module('helpers')",
        "from . import helpers",
        "exec('import helpers', globals())",
    ],
)
def test_every_way_to_import_finds_the_helper_of_the_own_folder(open_space, statement):
    at_top = f"{statement}\nVALUE = helpers.VALUE\n"
    in_function = f"def value():\n    {statement}\n    return helpers.VALUE\n"
    if "exec" in statement:
        in_function = f"def value():\n    {statement}\n    return globals()['helpers'].VALUE\n"
    spaces = [
        open_space(
            name,
            {"models.py": at_top, "late.py": in_function, "helpers.py": f"VALUE = {name!r}"},
        )
        for name in ("a", "b")
    ]
    assert [space.import_module("models").VALUE for space in spaces] == ["a", "b"]
    # Outside ``current()``: an import statement belongs to the code that it stands in.
    assert [space.import_module("late").value() for space in spaces] == ["a", "b"]


def test_names_imported_from_a_helper_are_those_of_the_own_folder(open_space):
    code = "from helpers import VALUE, nested\nfrom helpers import *\n"
    for name in ("a", "b"):
        helper = f"VALUE = {name!r}\ndef nested():\n    import deeper\n    return deeper.VALUE"
        space = open_space(
            name, {"models.py": code, "helpers.py": helper, "deeper.py": f"VALUE = 'deep {name}'"}
        )
        models = space.import_module("models")
        assert (models.VALUE, models.nested()) == (name, f"deep {name}")


def test_an_import_in_a_function_finds_the_own_folder_in_another_thread(open_space):
    code = "def value():\n    import helpers\n    return helpers.VALUE\n"
    models = [
        open_space(name, {"models.py": code, "helpers.py": f"VALUE = {name!r}"}).import_module(
            "models"
        )
        for name in ("a", "b")
    ]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda module: module.value(), models * 20)) == ["a", "b"] * 20


def test_importlib_of_a_space_is_importlib_otherwise(open_space):
    code = """
        import importlib, importlib.machinery, importlib.util
        from importlib import reload
        json = importlib.import_module("json")
        relative = importlib.import_module(".sub", "pkg_of_test") if False else None
        spec = importlib.util.find_spec("json")
        suffixes = importlib.machinery.SOURCE_SUFFIXES
    """
    models = open_space("a", {"models.py": code}).import_module("models")
    import json

    assert models.json is json
    assert models.spec.name == "json"
    assert models.reload is importlib.reload
    assert models.suffixes == [".py"]


def test_packages_with_relative_imports_stay_in_their_folder(open_space):
    for name in ("a", "b"):
        space = open_space(
            name,
            {
                "pkg/__init__.py": "from .inner import VALUE\nfrom . import inner\n",
                "pkg/inner.py": "from .deep.leaf import VALUE\nfrom ..helpers import OTHER\n",
                "pkg/deep/__init__.py": "",
                "pkg/deep/leaf.py": f"VALUE = {name!r}\nimport pkg.inner\n",
                "helpers.py": f"OTHER = 'other {name}'",
                "models.py": "import pkg.deep.leaf\nimport pkg.inner as inner\n"
                "from pkg.deep import leaf\nassert pkg.deep.leaf is leaf\n",
            },
        )
        models = space.import_module("models")
        assert models.leaf.VALUE == name
        assert models.inner.OTHER == f"other {name}"
        assert models.pkg.VALUE == name


def test_a_folder_without_init_gives_way_to_an_installed_package(open_space, installed):
    installed("weights_of_test/__init__.py", "VALUE = 'installed'")
    code = "import weights_of_test\nVALUE = weights_of_test.VALUE"
    space = open_space("a", {"models.py": code, "weights_of_test/part.bin": ""})
    assert space.import_module("models").VALUE == "installed"


def test_a_folder_without_init_gives_way_though_another_space_has_such_a_module(
    open_space, installed
):
    installed("weights_of_test/__init__.py", "VALUE = 'installed'")
    other = open_space("b", {"weights_of_test.py": "class Thing: pass"})
    with other.current():
        pickle.loads(pickle_of("weights_of_test", "Thing"))
    code = "import weights_of_test\nVALUE = weights_of_test.VALUE"
    space = open_space("a", {"models.py": code, "weights_of_test/part.bin": ""})
    assert space.import_module("models").VALUE == "installed"


def test_a_folder_without_init_is_a_package_where_nothing_is_installed(open_space):
    code = "from shared_of_test.part import VALUE"
    space = open_space("a", {"models.py": code, "shared_of_test/part.py": "VALUE = 1"})
    assert space.import_module("models").VALUE == 1


def test_a_module_named_like_one_of_the_standard_library_wins_in_its_folder_only(open_space):
    import json
    import queue

    code = "import queue, json\nVALUE = queue.VALUE\ntext = json.dumps([1])\n"
    space = open_space("a", {"models.py": code, "queue.py": "VALUE = 'own'"})
    other = open_space("b", {"models.py": "import queue\nQueue = queue.Queue\n"})
    models = space.import_module("models")
    assert (models.VALUE, models.text) == ("own", "[1]")
    assert other.import_module("models").Queue is queue.Queue
    assert sys.modules["queue"] is queue
    assert models.json is json


def test_an_installed_module_that_imports_a_plain_name_gets_the_installed_one(
    open_space, installed
):
    installed("library_of_test.py", "import helpers_of_test\nVALUE = helpers_of_test.VALUE")
    installed("helpers_of_test.py", "VALUE = 'installed'")
    code = "import library_of_test, helpers_of_test\n"
    code += "VALUES = (library_of_test.VALUE, helpers_of_test.VALUE)"
    space = open_space("a", {"models.py": code, "helpers_of_test.py": "VALUE = 'own'"})
    assert space.import_module("models").VALUES == ("installed", "own")


CLASS = "class Thing:\n    home = {name!r}\n"


def test_a_pickle_that_names_a_plain_module_gets_the_class_of_the_current_space(open_space, loads):
    spaces = {name: open_space(name, {"models.py": CLASS.format(name=name)}) for name in ("a", "b")}
    data = pickle_of("models", "Thing", number=3)
    for name in "abba":
        with spaces[name].current():
            thing = loads(data)
        assert type(thing) is spaces[name].import_module("models").Thing
        assert (thing.home, thing.number) == (name, 3)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_of_every_protocol_find_classes_inside_packages(open_space, installed, protocol):
    installed("pkg_of_test/__init__.py")
    installed("pkg_of_test/inner.py", "class Outer:\n    class Thing:\n        home = 'trained'\n")
    name = "Outer.Thing" if protocol >= 4 else "Outer"
    made = importlib.import_module("pkg_of_test.inner").Outer
    data = pickle.dumps((made.Thing if protocol >= 4 else made)(), protocol)
    for module in ("pkg_of_test.inner", "pkg_of_test"):
        del sys.modules[module]
    files = {"pkg_of_test/__init__.py": "", "pkg_of_test/inner.py": CLASS.format(name="x")}
    for folder in ("a", "b"):
        files["pkg_of_test/inner.py"] = (
            f"class Outer:\n    home = {folder!r}\n    class Thing:\n        home = {folder!r}\n"
        )
        space = open_space(folder, files)
        for load in LOADERS.values():
            with space.current():
                thing = load(data)
            assert (type(thing).__qualname__, thing.home) == (name, folder)


def test_a_pickle_loaded_by_code_of_the_folder_gets_the_class_beside_it(open_space):
    code = """
        import io, pickle
        import joblib

        def load_all(data):
            return [
                pickle.loads(data),
                pickle.load(io.BytesIO(data)),
                pickle.Unpickler(io.BytesIO(data)).load(),
                pickle._Unpickler(io.BytesIO(data)).load(),
                joblib.load(io.BytesIO(data)),
            ]
    """
    data = pickle_of("classes", "Thing")
    for name in ("a", "b"):
        files = {"models.py": code, "classes.py": CLASS.format(name=name)}
        space = open_space(name, files)
        with space.current():
            things = space.import_module("models").load_all(data)
        assert [thing.home for thing in things] == [name] * 5
        assert {type(thing) for thing in things} == {space.import_module("classes").Thing}


def test_a_pickle_loaded_at_the_top_of_a_module_of_the_folder_gets_the_class_beside_it(
    open_space, write
):
    code = "import pathlib, pickle\nTHING = pickle.loads(pathlib.Path(__file__).with_name("
    code += "'thing.pkl').read_bytes())\n"
    for name in ("a", "b"):
        space = open_space(name, {"models.py": code, "classes.py": CLASS.format(name=name)})
        (space.folder / "thing.pkl").write_bytes(pickle_of("classes", "Thing"))
        with space.current():
            assert space.import_module("models").THING.home == name


def test_pickles_loaded_at_once_in_threads_each_get_their_own_class(open_space, loads):
    names = [f"folder{number}" for number in range(6)]
    spaces = {name: open_space(name, {"models.py": CLASS.format(name=name)}) for name in names}
    data = pickle_of("models", "Thing")
    together = threading.Barrier(len(names), timeout=30)

    def load(name):
        together.wait()
        homes = set()
        for _ in range(50):
            with spaces[name].current():
                homes.add(loads(data).home)
        return homes

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(load, names)) == [{name} for name in names]


async def test_pickles_loaded_in_tasks_that_take_turns_each_get_their_own_class(open_space, loads):
    spaces = {
        name: open_space(name, {"models.py": CLASS.format(name=name)}) for name in ("a", "b", "c")
    }
    data = pickle_of("models", "Thing")

    async def load(name):
        homes = []
        with spaces[name].current():
            for _ in range(5):
                await asyncio.sleep(0)
                homes.append(loads(data).home)
        return homes

    outcomes = await asyncio.gather(*map(load, spaces))
    assert outcomes == [[name] * 5 for name in spaces]


def test_a_pickle_that_names_what_no_folder_has_says_so(open_space, loads):
    space = open_space("a", {"models.py": ""})
    with space.current():
        with pytest.raises(ModuleNotFoundError, match="nowhere_of_test"):
            loads(pickle_of("nowhere_of_test", "Thing"))
        with pytest.raises(AttributeError, match="Thing"):
            loads(pickle_of("models", "Thing"))


def test_type_hints_that_are_postponed_resolve_in_the_module_of_the_space(open_space):
    code = """
        from __future__ import annotations
        import dataclasses, typing
        from helpers import Base

        class Thing(Base):
            size: Size
            def grow(self, by: Size) -> typing.Optional[Thing]: ...

        class Size: ...

        @dataclasses.dataclass
        class Point:
            x: int
            kind: typing.ClassVar[str] = "p"
            size: dataclasses.InitVar[Size] = None

        HINTS = typing.get_type_hints(Thing)
        METHOD = typing.get_type_hints(Thing.grow)
    """
    helpers = "from __future__ import annotations\nclass Base:\n    mark: Mark\nclass Mark: ...\n"
    for name in ("a", "b"):
        space = open_space(name, {"models.py": code, "helpers.py": helpers})
        models, base = space.import_module("models"), space.import_module("helpers")
        assert models.HINTS == {"mark": base.Mark, "size": models.Size}
        assert models.METHOD == {"by": models.Size, "return": models.Thing | None}
        assert typing.get_type_hints(models.Thing) == models.HINTS
        assert [field.name for field in dataclasses.fields(models.Point)] == ["x"]


def test_closing_leaves_modules_and_finders_as_they_were(open_space, loads):
    modules, finders = dict(sys.modules), list(sys.meta_path)
    files = {
        "models.py": "import helpers_of_test\n" + CLASS.format(name="a"),
        "helpers_of_test.py": "",
        "pkg_of_test/__init__.py": "",
        "pkg_of_test/inner.py": CLASS.format(name="a"),
    }
    spaces = [open_space("a", files), open_space("b", files)]
    for space in spaces:
        with space.current():
            loads(pickle_of("models", "Thing"))
            loads(pickle_of("pkg_of_test.inner", "Thing"))
    for space in spaces:
        space.close()
    assert sys.meta_path == finders
    assert {name for name in sys.modules if name not in modules} == set()
    assert all(sys.modules[name] is modules[name] for name in modules)


def test_closing_one_space_leaves_the_pickles_of_another_alone(open_space, loads):
    spaces = {name: open_space(name, {"models.py": CLASS.format(name=name)}) for name in ("a", "b")}
    data = pickle_of("models", "Thing")
    for name in ("a", "b"):
        with spaces[name].current():
            loads(data)
    spaces["a"].close()
    with spaces["b"].current():
        assert loads(data).home == "b"


def test_closing_twice_is_closing_once(open_space):
    space = open_space("a", {"models.py": ""})
    space.close()
    space.close()
    assert space not in sys.meta_path


def test_a_new_space_sees_the_changed_code(open_space, write, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    old = open_space("a", {"models.py": "import helpers\nVALUE = helpers.VALUE", "helpers.py": ""})
    file = write("a/helpers.py", "VALUE = 1\n")
    assert old.import_module("models").VALUE == 1
    stamp = file.stat()
    old.close()
    # Same size and time stamp: the compiled code beside the file must not stand in for it.
    write("a/helpers.py", "VALUE = 2\n")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert open_space("a").import_module("models").VALUE == 2


def test_a_new_space_sees_a_file_that_came_after_the_last_one_looked(open_space, write):
    old = open_space("a", {"models.py": ""})
    assert not old.has("late")
    stamp = old.folder.stat()
    old.close()
    write("a/late.py", "VALUE = 1")
    # A file system with coarse time stamps, on which the folder looks unchanged.
    os.utime(old.folder, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    new = open_space("a")
    assert new.has("late")
    assert new.import_module("late").VALUE == 1


def test_outside_any_space_a_stand_in_is_the_installed_module(open_space, installed):
    installed("helpers_of_test.py", "class Thing:\n    home = 'installed'\n")
    data = pickle_of("helpers_of_test", "Thing")
    space = open_space("a", {"helpers_of_test.py": CLASS.format(name="own")})
    with space.current():
        assert pickle.loads(data).home == "own"
    assert pickle.loads(data).home == "installed"
    stand_in = importlib.import_module("helpers_of_test")
    with space.current():
        assert pickle.loads(data).home == "own"
    assert stand_in.Thing.home == "installed"


def test_outside_any_space_a_stand_in_runs_the_installed_module_once(open_space, installed):
    installed("helpers_of_test.py", "class Thing:\n    pass\n")
    space = open_space("a", {"helpers_of_test.py": "class Thing: pass"})
    with space.current():
        pickle.loads(pickle_of("helpers_of_test", "Thing"))
    first = pickle.loads(pickle_of("helpers_of_test", "Thing"))
    second = pickle.loads(pickle_of("helpers_of_test", "Thing"))
    assert type(first) is type(second)


def test_outside_any_space_a_stand_in_for_nothing_says_that_there_is_no_such_module(open_space):
    space = open_space("a", {"helpers_of_test.py": CLASS.format(name="own")})
    data = pickle_of("helpers_of_test", "Thing")
    with space.current():
        pickle.loads(data)
    with pytest.raises(ModuleNotFoundError, match="helpers_of_test"):
        pickle.loads(data)


def test_a_broken_helper_keeps_its_own_error(open_space):
    space = open_space("a", {"models.py": "import helpers", "helpers.py": "import nowhere_of_test"})
    with pytest.raises(ModuleNotFoundError, match="nowhere_of_test"):
        space.import_module("models")


def test_the_space_current_outside_comes_back_afterwards(open_space):
    outer = open_space("a", {"models.py": CLASS.format(name="a")})
    inner = open_space("b", {"models.py": CLASS.format(name="b")})
    data = pickle_of("models", "Thing")
    with outer.current():
        with inner.current():
            assert pickle.loads(data).home == "b"
        assert pickle.loads(data).home == "a"


def test_what_the_folder_does_not_hold_comes_from_elsewhere(open_space):
    space = open_space("a", {"models.py": ""})
    import json

    assert space.import_module("json") is json
    assert not space.has("json.decoder")
    assert space.has("models.anything")


@pytest.fixture
def busy_imports():
    """Other threads put modules into ``sys.modules`` and take them out again, without a pause."""
    ended = threading.Event()

    def work(number):
        while not ended.is_set():
            names = [f"busy_{number}_{each}" for each in range(50)]
            for name in names:
                sys.modules[name] = sys
            for name in names:
                del sys.modules[name]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    yield
    ended.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)


def test_a_space_closes_while_other_models_import(tmp_path, busy_imports):
    for _ in range(50):
        space = ModuleSpace(tmp_path)
        space.open()
        space.close()
