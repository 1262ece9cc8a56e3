from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
ROOT = Path(__file__).parents[2]


def test_committed_files_are_what_the_protos_make(tmp_path):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.generate(tmp_path)
    assert read(tmp_path) == read(module.GENERATED)


def read(folder):
    """What the generated files say, whatever version of the tools has formatted them."""
    code = ast.dump(ast.parse((folder / "dataplane.py").read_text(encoding="utf-8")))
    data = (folder / "descriptors.binpb").read_bytes()
    return code, descriptor_pb2.FileDescriptorSet.FromString(data)
