from __future__ import annotations

import sys

import pytest

from mlserver_core.rest.swagger_ui import find_files, is_interactive


@pytest.fixture
def hidden(tmp_path, monkeypatch):
    """A package of the distribution's name, whose files the test writes."""
    package = tmp_path / "flask_swagger_ui"
    (package / "dist").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('it is not to be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return package / "dist"


def test_extra_brings_the_files_and_is_never_imported():
    files = find_files()
    assert is_interactive(files)
    assert set(files) == {"docs.css", "docs.js", "swagger-ui.css", "swagger-ui-bundle.js"}
    assert all(path.is_file() for path in files.values())
    assert "flask" not in sys.modules
    assert "flask_swagger_ui" not in sys.modules


def test_without_the_files_only_our_own_are_there(hidden):
    files = find_files()
    assert not is_interactive(files)
    assert set(files) == {"docs.css", "docs.js"}


def test_half_a_distribution_counts_as_none(hidden):
    (hidden / "swagger-ui.css").touch()
    assert not is_interactive(find_files())
