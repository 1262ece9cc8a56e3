from __future__ import annotations

import ast
import configparser
import pkgutil
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "mlserver_core"


def test_every_function_on_the_way_of_a_request_is_there():
    names = re.findall(r"\bmlserver_core\.[\w.]+", PAGE)
    assert len(names) >= 10
    for name in names:
        assert callable(pkgutil.resolve_name(name)), name


def test_layers_are_those_of_the_contract():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    contract = parser["importlinter:contract:layers"]["layers"].split("\n")
    block = re.search(r"## Imports go one way\n\n```text\n(.*?)```", PAGE, re.DOTALL)[1]
    described = [" ".join(layer.split()) for layer in block.split(">")]
    assert described == [layer.strip() for layer in contract if layer.strip()]


def test_every_file_that_is_named_is_there():
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert (SOURCE / name).is_file(), name


def test_no_module_is_longer_than_300_lines_and_no_function_than_50():
    for path in SOURCE.rglob("*.py"):
        if "_generated" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, path.relative_to(ROOT)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno - node.lineno < 50, f"{path.name}: {node.name}"


def test_every_dependency_has_a_reason():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wanted = parser["options"]["install_requires"].split("\n")
    names = [re.match(r"[\w.-]+", line)[0] for line in wanted if line]
    assert len(names) >= 7
    for name in names:
        assert f"\n| `{name}` | " in reasons, name
