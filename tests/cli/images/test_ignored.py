from __future__ import annotations

import re

import pytest

from mlserver_core.cli.images.ignored import ignore_text, is_ignored


def matches(pattern, path):
    """Docker's documented rules: Go's filepath.Match, and ``**`` for any number of folders, or
    none. What lies in a folder that matches is left out with it.
    """
    words = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*|\?|\[[^]]*\])", pattern)
    expression = "".join(
        words.get(part, part if part.startswith("[") else re.escape(part)) for part in parts
    )
    return re.match(f"{expression}(?:/|$)", path) is not None


IGNORED = [
    ".env",
    "model/.env",
    ".git",
    ".git/config",
    "a/b/.git/objects/00",
    ".venv",
    ".venv/bin/python",
    ".venv-3.12/bin/python",
    "model/__pycache__/model.cpython-311.pyc",
    "model/model.pyc",
    "model/model.pyo",
    "model/model.pyd",
    "mine.egg-info/PKG-INFO",
    ".coverage",
    ".coverage.host.1234",
    ".ipynb_checkpoints/Model.ipynb",
    "Dockerfile",
    "model/Dockerfile",
    "Dockerfile.dockerignore",
    ".dockerignore",
    ".containerignore",
    ".idea/x.xml",
]
KEPT = [
    "model-settings.json",
    "settings.json",
    "requirements.txt",
    "conda.yaml",
    "model/model.joblib",
    "model/native.so",
    "model/libnative.so.1",
    "bin/tool",
    "lib/x.py",
    "build/x.py",
    "dist/x-1.0-py3-none-any.whl",
    "env/weights.bin",
    "venv.txt",
    ".environment",
    "model.env",
    "x.git",
    "model.pyx",
    "model.py",
    "model.pycx",
    "pycache",
    "Dockerfile.gpu",
    "dockerfile",
    ".hidden/weights",
    "é ü/模型.bin",
]


@pytest.mark.parametrize(
    ("path", "ignored"), [*((each, True) for each in IGNORED), *((each, False) for each in KEPT)]
)
def test_the_ignore_file_and_the_archive_leave_out_the_same(path, ignored):
    patterns = ignore_text().splitlines()
    assert any(matches(pattern, path) for pattern in patterns) is ignored
    assert any(map(is_ignored, path.split("/"))) is ignored


def test_every_pattern_holds_at_any_depth_and_nothing_is_taken_back():
    patterns = ignore_text().splitlines()
    assert len(patterns) > 20
    for pattern in patterns:
        assert re.fullmatch(r"\*\*/[^/!#\s\\]+", pattern), pattern
