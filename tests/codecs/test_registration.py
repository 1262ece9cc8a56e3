"""Marked codecs: found in a model's modules, seen by it first, offered to its server."""

import gc
import logging
import subprocess
import sys
import types

import numpy as np
import pytest

from mlserver_core import MLServer, hookimpl
from mlserver_core.codecs import (
    InputCodec,
    NumpyCodec,
    RequestCodec,
    register_input_codec,
    register_request_codec,
)
from mlserver_core.codecs.plugin import built_in_codecs
from mlserver_core.codecs.registration import find_marked, model_modules
from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.errors import CodecError, InvalidRequest, PluginError
from mlserver_core.hooks.manager import PluginManager


def module(name="m", **names):
    made = types.ModuleType(name)
    vars(made).update(names)
    return made


def input_codec(content_type, name="Mine"):
    return register_input_codec(type(name, (InputCodec,), {"ContentType": content_type}))


def test_marking_registers_with_no_server():
    codec = input_codec("mine")

    assert codec.ContentType == "mine"
    assert "mine" not in built_in_codecs().inputs


def test_a_codec_without_a_content_type_is_refused():
    with pytest.raises(TypeError, match="needs a ContentType"):
        register_input_codec(type("Nameless", (InputCodec,), {}))
    with pytest.raises(TypeError, match="needs a ContentType"):
        register_request_codec(RequestCodec)


def test_marked_codecs_are_found_in_modules_and_one_level_below():
    one, two, three, far = map(input_codec, ("one", "two", "three", "far"))
    instance = register_input_codec(type("Kind", (InputCodec,), {"ContentType": "of-object"})())
    unmarked_subclass = type("Sub", (one,), {})
    below = module("below", two=two, deeper=module("deeper", far=far))
    modules = [
        module("a", one=one, again=one, below=below, number=1, np=np, sub=unmarked_subclass),
        module("b", three=three, one=one, instance=instance, NumpyCodec=NumpyCodec),
    ]

    assert find_marked(modules) == [one, three, instance, two]


def test_objects_that_do_not_like_to_be_asked_do_no_harm():
    class Proxy:
        def __getattribute__(self, name):
            raise RuntimeError("working outside of context")

    assert find_marked([module(proxy=Proxy())]) == []


def test_the_modules_of_a_model_are_its_space_and_its_package():
    base = types.ModuleType("runtime_of_somebody")
    parts = {
        name: types.ModuleType(name)
        for name in ("runtime_of_somebody.codecs", "space_7", "space_7.helpers", "space_71.other")
    }
    cls = type("Model", (), {"__module__": "runtime_of_somebody"})
    sys.modules.update(parts | {"runtime_of_somebody": base})
    try:
        found = [each.__name__ for each in model_modules(cls, "space_7")]
    finally:
        for name in (*parts, "runtime_of_somebody"):
            del sys.modules[name]
    assert found == [
        "runtime_of_somebody",
        "runtime_of_somebody.codecs",
        "space_7",
        "space_7.helpers",
    ]


def test_a_models_modules_are_found_while_other_models_import(monkeypatch):
    many = dict.fromkeys(map(str, range(10_000)), sys)
    monkeypatch.setattr(sys, "modules", {**sys.modules, **many})

    def import_one(phase, info):
        sys.modules[f"imported_meanwhile_{len(sys.modules)}"] = sys

    before = gc.get_threshold()
    gc.callbacks.append(import_one)
    gc.set_threshold(1)
    try:
        model_modules(NumpyCodec, None)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(import_one)


@pytest.mark.parametrize(
    "how", ["import codec", "from codec import One, Two", "from kinds import *"]
)
def test_codecs_of_a_model_folder_are_found_after_its_class_was_imported(write, tmp_path, how):
    marked = """
        from mlserver_core.codecs import InputCodec, register_input_codec

        @register_input_codec
        class One(InputCodec):
            ContentType = "one"

        @register_input_codec
        class Two(InputCodec):
            ContentType = "two"
        """
    write("codec.py", marked)
    write("kinds.py", "from codec import One, Two")
    write("models.py", f"from mlserver_core import MLModel\n{how}\nclass Mine(MLModel): ...\n")
    space = ModuleSpace(tmp_path)
    space.open()
    try:
        cls = space.import_module("models").Mine
        found = find_marked(model_modules(cls, space.package))
    finally:
        space.close()
    assert [each.ContentType for each in found] == ["one", "two"]


def test_a_model_sees_its_own_codec_first_and_offers_it_to_its_server():
    server, codec = built_in_codecs(), input_codec("mine")

    model = server.for_model("m", [codec])

    assert model.input_codec("mine", "x") is codec
    assert model.input_codec("np", "x") is NumpyCodec
    assert list(model.inputs) == [*built_in_codecs().inputs, "mine"]
    assert server.input_codec("mine", "x") is codec
    assert server.inputs.owner("mine") == "model 'm'"
    model.withdraw()
    with pytest.raises(InvalidRequest, match="unknown content type 'mine'; known are base64"):
        server.input_codec("mine", "x")
    assert model.input_codec("mine", "x") is codec


def test_a_codec_of_whole_requests_is_registered_as_such():
    server = built_in_codecs()
    codec = register_request_codec(type("Whole", (RequestCodec,), {"ContentType": "whole"}))

    model = server.for_model("m", [codec])

    assert model.request_codec("whole", "x") is server.request_codec("whole", "x") is codec
    assert server.input_codec("whole", "x") is None


# Fault W45 of MLServer: the later one of a name overwrote the earlier one, silently


@pytest.mark.parametrize("owner", ["a plugin", "another model"])
def test_a_taken_name_stays_its_owners_with_a_warning_and_the_model_has_its_own(owner, caplog):
    server, own = built_in_codecs(), input_codec("image")
    theirs = input_codec("image")
    if owner == "a plugin":
        with server.inputs.owned_by("pillow"):
            server.inputs.add("image", theirs)
        named = "pillow"
    else:
        server.for_model("first", [theirs])
        named = "model 'first'"

    with caplog.at_level(logging.WARNING, "mlserver"):
        model = server.for_model("m", [own])

    assert model.input_codec("image", "x") is own
    assert server.input_codec("image", "x") is theirs
    [record] = caplog.records
    assert f"Model 'm' brings the input codec 'image', which {named} has" in record.getMessage()
    model.withdraw()
    assert server.input_codec("image", "x") is theirs


def test_a_model_may_replace_a_built_in_codec_for_itself_alone(caplog):
    server, own = built_in_codecs(), input_codec("np")
    assert server.for_model("m", [own]).input_codec("np", "x") is own
    assert server.input_codec("np", "x") is NumpyCodec
    assert "this program has registered already" in caplog.text


def test_two_codecs_of_one_name_in_a_model_are_refused_with_both():
    codecs = [input_codec("mine", "First"), input_codec("mine", "Second")]
    with pytest.raises(CodecError) as caught:
        built_in_codecs().for_model("m", codecs)
    assert "First and" in str(caught.value)
    assert "Second both register the input codec 'mine'" in str(caught.value)


def test_a_codec_that_a_plugin_has_registered_itself_is_no_second_one(caplog):
    server, codec = built_in_codecs(), input_codec("mine")
    server.inputs.add("mine", codec)

    model = server.for_model("m", [codec])

    assert caplog.records == []
    model.withdraw()
    assert server.input_codec("mine", "x") is codec


def test_a_reload_replaces_the_models_earlier_codec_in_either_order_of_unloading(caplog):
    server, old, new = built_in_codecs(), input_codec("mine"), input_codec("mine")
    before = server.for_model("m", [old])
    after = server.for_model("m", [new])
    assert server.input_codec("mine", "x") is new
    assert before.input_codec("mine", "x") is old

    before.withdraw()  # the reload went well
    assert server.input_codec("mine", "x") is new
    again = server.for_model("m", [old])
    again.withdraw()  # the reload failed
    assert server.input_codec("mine", "x") is new
    after.withdraw()
    assert "mine" not in server.inputs
    assert caplog.records == []


def test_a_type_hint_finds_plugins_codecs_first_then_the_models_own_then_others():
    def typed(content_type, hint):
        codec = type("Typed", (InputCodec,), {"ContentType": content_type, "TypeHint": hint})
        return register_input_codec(codec)

    server = built_in_codecs()
    server.for_model("other", [typed("theirs", set)])
    own = typed("own", set)
    model = server.for_model("m", [own, typed("array", np.ndarray)])

    assert model.input_codec_of_hint(set) is own
    assert model.input_codec_of_hint(np.ndarray) is NumpyCodec


def test_two_servers_with_one_model_module_each_have_its_codec():
    codec = input_codec("mine")
    first, second, third = built_in_codecs(), built_in_codecs(), built_in_codecs()
    first.for_model("m", [codec])
    second.for_model("m", [codec])
    assert first.input_codec("mine", "x") is second.input_codec("mine", "x") is codec
    assert "mine" not in third.inputs


# Plugins


def plugin_module(name, **names):
    def mlserver_server_started():
        raise AssertionError

    return module(name, mlserver_server_started=hookimpl(mlserver_server_started), **names)


def test_a_codec_that_a_plugin_marks_is_registered_by_the_server():
    codec, plugins = input_codec("mine"), PluginManager()
    plugins.register("of-somebody", plugin_module("a", codec=codec))

    server = MLServer(plugins=plugins)

    assert server.codecs.inputs.get("mine") is codec
    assert server.codecs.inputs.owner("mine") == "of-somebody"


def test_a_codec_that_two_plugins_mark_by_one_name_is_refused_with_both():
    plugins = PluginManager()
    plugins.register("first", plugin_module("a", codec=input_codec("mine")))
    plugins.register("second", plugin_module("b", codec=input_codec("mine")))

    with pytest.raises(PluginError) as caught:
        MLServer(plugins=plugins)
    assert str(caught.value).startswith(
        "plugin 'second': registers the input codec 'mine', which plugin 'first' has"
    )


def test_a_codec_that_a_plugin_marks_and_registers_is_one():
    codec, plugins = input_codec("mine"), PluginManager()

    def mlserver_register_codecs(input_codecs):
        input_codecs.add("mine", codec)

    hook = hookimpl(mlserver_register_codecs)
    plugins.register("both", module("a", codec=codec, mlserver_register_codecs=hook))

    assert MLServer(plugins=plugins).codecs.inputs.get("mine") is codec


# Fault W10 of MLServer: pd was unknown until somebody had imported its codec


def test_pd_is_known_before_anybody_imports_pandas():
    code = (
        "import sys; from mlserver_core.codecs.plugin import built_in_codecs; "
        "codecs = built_in_codecs(); assert codecs.request_codec('pd', 'x') is not None; "
        "assert codecs.request_codec_of_hint(int) is None; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
