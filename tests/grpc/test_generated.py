from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
ROOT = Path(__file__).parents[2]


def test_committed_files_are_what_the_protos_make(tmp_path):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.generate(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        assert file.read_bytes() == (module.GENERATED / file.name).read_bytes(), file.name
