from __future__ import annotations

import configparser
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.cli.new_plugin.files import KINDS, fill
from mlserver_core.cli.new_plugin.names import PluginNames

NAMES = st.from_regex(r"(mlserver-)?[a-zA-Z]{1,8}([-_][a-z0-9]{1,5}){1,5}", fullmatch=True)


@pytest.mark.parametrize("kind", KINDS)
@given(name=NAMES)
def test_every_file_can_be_read_whatever_the_name_is(kind, name):
    names = PluginNames.derive(name)
    files = fill(kind, names)
    assert not [path for path, text in files.items() if "$" in path + text]
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
        elif path.endswith(".json"):
            assert json.loads(text)["name"] == names.name
    parser = configparser.ConfigParser()
    parser.read_string(files["setup.cfg"])
    assert parser["metadata"]["name"] == names.distribution
    points = parser["options.entry_points"]["mlserver_core"].strip()
    assert points == f"{names.name} = {names.package}.plugin"
    assert f"src/{names.package}/plugin.py" in files


@pytest.mark.parametrize("name", ["mlserver-core-string", "input", "request", "single-input"])
def test_a_codec_may_be_called_as_one_that_it_is_made_with(name):
    names = PluginNames.derive(name)
    module = {"__name__": "codec"}
    exec(fill("codec", names)[f"src/{names.package}/codec.py"], module)
    codec = module[f"{names.class_name}RequestCodec"]
    values = [Decimal("12.50"), Decimal(-3)]
    assert codec.decode_request(codec.encode_request(values)) == values
