"""How the plugin is found, and that finding it costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import joblib
import pytest
from conftest import make_settings, make_tensor

from mlserver_core import MLServer, Settings
from mlserver_core_sklearn import plugin
from mlserver_core_sklearn.runtime import SKLearnModel

HEAVY = ("sklearn", "joblib", "skops", "scipy", "pandas")


def heavy_modules_after(code):
    """Which of HEAVY a new interpreter has imported once it has run the code."""
    report = (
        f"\nimport json, sys; print('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_distribution_offers_the_plugin_as_an_entry_point():
    [point] = metadata.entry_points(group="mlserver_core", name="sklearn")
    assert point.dist.metadata["Name"] == "mlserver-core-sklearn"
    assert point.load() is plugin


@pytest.mark.parametrize("name", ["sklearn", "mlserver_sklearn.SKLearnModel"])
def test_both_names_mean_the_runtime(name):
    server = MLServer(Settings(http_port=0, grpc_port=0, metrics_port=0))
    assert server.runtimes.get(name) == f"{SKLearnModel.__module__}.{SKLearnModel.__name__}"
    assert server.runtimes.owner(name) == "sklearn"


@pytest.mark.parametrize("name", ["sklearn", "mlserver_sklearn.SKLearnModel"])
async def test_both_names_serve(serve, tmp_path, classifier, iris, name):
    joblib.dump(classifier, tmp_path / "model.joblib")
    settings = make_settings(tmp_path)
    settings.implementation = name
    served = await serve(settings)
    answer = await served.infer("model", inputs=[make_tensor(iris.data[[149]])])
    assert list(answer.outputs[0].data) == [2]


def test_help_imports_no_sklearn():
    code = """
from mlserver_core.cli.main import main
try:
    main(["--help"])
except SystemExit as ended:
    assert not ended.code
import sys
assert "mlserver_core_sklearn.plugin" in sys.modules
"""
    assert heavy_modules_after(code) == []


def test_importing_the_package_imports_no_sklearn_until_the_runtime_is_asked_for():
    assert heavy_modules_after("import mlserver_core_sklearn") == []
    asked = "import mlserver_core_sklearn as package; package.SKLearnModel"
    assert "sklearn" in heavy_modules_after(asked)


def test_the_package_exports_the_runtime_and_nothing_else():
    import mlserver_core_sklearn

    assert mlserver_core_sklearn.SKLearnModel is SKLearnModel
    with pytest.raises(AttributeError, match="SKLearnModell"):
        _ = mlserver_core_sklearn.SKLearnModell
