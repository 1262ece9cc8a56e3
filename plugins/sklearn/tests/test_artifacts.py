"""Which files are found, and which of them may be loaded."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import pytest
import sklearn.base
from conftest import make_settings, make_tensor
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from skops import io

from mlserver_core.errors import InvalidModelURI, ModelLoadError
from mlserver_core.settings import ArtifactPolicy
from mlserver_core_sklearn.artifacts import WELLKNOWN, load_artifact

TREE = "sklearn.tree._tree.Tree"
SAVERS = {
    "model.joblib": joblib.dump,
    "model.pickle": lambda value, path: path.write_bytes(pickle.dumps(value)),
    "model.pkl": lambda value, path: path.write_bytes(pickle.dumps(value)),
    "model.skops": io.dump,
}
HELPERS = """
from pathlib import Path

Path(__file__).with_name("imported").touch()


class Constant:
    def __init__(self):
        self.value = {value}

    def predict(self, X):
        return [self.value] * len(X)
"""


class Nosy:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class Chatty:
    """Warns when it is unpickled."""

    def __setstate__(self, state):
        warnings.warn("an old format", UserWarning, stacklevel=1)


class Broken(StandardScaler):
    """Cannot be unpickled, though its steps can."""

    def __setstate__(self, state):
        raise AttributeError("gone in this version")


def make_constant(value):
    return DummyRegressor(strategy="constant", constant=value).fit([[0]], [value])


def constant_of(estimator):
    return float(estimator.predict([[0]])[0])


def save_helper_model(folder, value, *, save="import joblib; joblib.dump(it, 'model.joblib')"):
    """Writes ``helpers.py`` into a new folder, and a file with an object of its class."""
    folder.mkdir()
    (folder / "helpers.py").write_text(HELPERS.format(value=value))
    code = f"import sys; sys.path.insert(0, '.'); import helpers; it = helpers.Constant(); {save}"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    (folder / "imported").unlink()
    return folder


def test_every_well_known_name_has_a_test():
    assert tuple(SAVERS) == WELLKNOWN


@pytest.mark.parametrize("name", WELLKNOWN)
def test_every_format_is_read_back(tmp_path, name):
    SAVERS[name](make_constant(7.0), tmp_path / name)
    assert constant_of(load_artifact(make_settings(tmp_path))) == 7.0
    assert constant_of(load_artifact(make_settings(tmp_path, uri=f"./{name}"))) == 7.0


@pytest.mark.parametrize("first", range(len(WELLKNOWN)))
def test_the_first_well_known_name_wins(tmp_path, first):
    for number, name in list(enumerate(WELLKNOWN))[first:]:
        SAVERS[name](make_constant(float(number)), tmp_path / name)
    assert constant_of(load_artifact(make_settings(tmp_path))) == first


def test_a_file_of_any_name_is_read_by_its_suffix(tmp_path):
    io.dump(make_constant(3.0), tmp_path / "v2.final.skops")
    joblib.dump(make_constant(4.0), tmp_path / "model.joblib")
    assert constant_of(load_artifact(make_settings(tmp_path, uri="v2.final.skops"))) == 3.0


def test_a_folder_without_a_model_lists_the_names_looked_for(tmp_path):
    (tmp_path / "model.bin").touch()
    with pytest.raises(ModelLoadError) as caught:
        load_artifact(make_settings(tmp_path))
    assert ", ".join(WELLKNOWN) in str(caught.value)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelLoadError, match=r"'\.onnx' is none of \.joblib, \.pickle, \.pkl, \."):
        load_artifact(make_settings(tmp_path, uri="model.onnx"))


def test_a_uri_elsewhere_is_refused(tmp_path):
    with pytest.raises(ModelLoadError, match=r"'s3://bucket/model\.joblib'; only files on this"):
        load_artifact(make_settings(tmp_path, uri="s3://bucket/model.joblib"))


@pytest.mark.parametrize("uri", [None, "missing.joblib"])
def test_an_absent_artifact_is_an_invalid_uri(tmp_path, uri):
    with pytest.raises(InvalidModelURI):
        load_artifact(make_settings(tmp_path, uri=uri))


@pytest.mark.parametrize("name", ["model.joblib", "model.pickle", "model.pkl"])
def test_a_refused_pickle_is_named_and_never_run(tmp_path, name):
    SAVERS[name](Nosy(tmp_path / "mark"), tmp_path / name)
    settings = make_settings(tmp_path)
    settings.policy = ArtifactPolicy(allow_pickle=False)
    with pytest.raises(ModelLoadError, match=r"(?s)allow_pickle is false.*skops") as caught:
        load_artifact(settings)
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "mark").exists()
    settings.policy = ArtifactPolicy()
    load_artifact(settings)
    assert (tmp_path / "mark").exists()


def test_a_pickle_that_may_be_loaded_is_one_warning_in_the_log(tmp_path, caplog):
    joblib.dump(make_constant(1.0), tmp_path / "model.joblib")
    load_artifact(make_settings(tmp_path, name="prices"))
    [record] = caplog.records
    assert (record.name, record.levelno) == ("mlserver", logging.WARNING)
    assert "'prices': loading model.joblib runs code" in record.getMessage()


def test_a_skops_file_is_no_warning_in_the_log(tmp_path, caplog):
    io.dump(make_constant(1.0), tmp_path / "model.skops")
    load_artifact(make_settings(tmp_path))
    assert not caplog.records


@pytest.mark.parametrize(
    ("server", "model", "loads"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, False)],
)
async def test_a_model_may_tighten_the_servers_rule_for_pickle_only(
    serve, tmp_path, server, model, loads
):
    joblib.dump(make_constant(1.0), tmp_path / "model.joblib")
    settings = make_settings(tmp_path)
    settings.allow_pickle = model
    served = await serve(settings, allow_pickle=server)
    assert (not served.failed) is loads


async def test_skops_loads_without_pickle(serve, tmp_path):
    io.dump(make_constant(5.0), tmp_path / "model.skops")
    served = await serve(make_settings(tmp_path), allow_pickle=False)
    answer = await served.infer("model", inputs=[make_tensor([[0.0]])])
    assert list(answer.outputs[0].data) == [5.0]


async def test_untrusted_types_are_listed_with_the_setting_that_trusts_them(serve, tmp_path):
    io.dump(DecisionTreeRegressor().fit([[0], [1]], [0, 1]), tmp_path / "model.skops")
    served = await serve(make_settings(tmp_path))
    [failed] = served.failed
    assert f"not trusted: {TREE}." in failed
    assert "trusted_types in settings.json (MLSERVER_TRUSTED_TYPES)" in failed


async def test_the_operator_can_trust_a_type(serve, tmp_path):
    io.dump(DecisionTreeRegressor().fit([[0], [1]], [0, 1]), tmp_path / "model.skops")
    served = await serve(make_settings(tmp_path), trusted_types=[TREE])
    answer = await served.infer("model", inputs=[make_tensor([[1.0]])])
    assert list(answer.outputs[0].data) == [1.0]


async def test_trusting_one_type_trusts_no_other(serve, tmp_path):
    io.dump(DecisionTreeRegressor().fit([[0], [1]], [0, 1]), tmp_path / "model.skops")
    served = await serve(make_settings(tmp_path), trusted_types=["sklearn.tree._tree", "Tree"])
    assert served.failed


@pytest.mark.parametrize(
    "parameters", [{"trusted_types": [TREE]}, {"extra": {"trusted_types": [TREE]}}]
)
async def test_a_model_cannot_trust_itself(serve, tmp_path, parameters):
    io.dump(DecisionTreeRegressor().fit([[0], [1]], [0, 1]), tmp_path / "model.skops")
    settings = make_settings(tmp_path, **parameters)
    settings.policy = ArtifactPolicy(trusted_types=(TREE,))  # the server sets its own
    served = await serve(settings)
    assert served.failed


async def test_code_of_an_untrusted_type_is_never_imported(serve, tmp_path):
    save = "from skops import io; io.dump(it, 'model.skops')"
    folder = save_helper_model(tmp_path / "a", 1, save=save)
    served = await serve(make_settings(folder))
    assert "not trusted: helpers.Constant" in served.failed[0]
    assert not (folder / "imported").exists()
    served = await serve(make_settings(folder), trusted_types=["helpers.Constant"])
    assert not served.failed
    assert (folder / "imported").exists()


async def test_pickled_classes_of_two_models_with_like_named_modules_stay_apart(serve, tmp_path):
    one = save_helper_model(tmp_path / "one", 1)
    two = save_helper_model(tmp_path / "two", 2)
    served = await serve(make_settings(one, "one"), make_settings(two, "two"))
    assert served.failed == []
    for name, value in (("one", 1), ("two", 2), ("one", 1)):
        answer = await served.infer(name, inputs=[make_tensor([[0.0], [0.0]])])
        assert list(answer.outputs[0].data) == [value, value]


def save_by_another_version(monkeypatch, estimator, path):
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "1.0.2")
        joblib.dump(estimator, path)


def test_a_file_of_another_sklearn_is_one_line_in_the_log(tmp_path, caplog, monkeypatch):
    estimator = make_pipeline(StandardScaler(), StandardScaler()).fit([[1.0]])
    save_by_another_version(monkeypatch, estimator, tmp_path / "model.joblib")
    load_artifact(make_settings(tmp_path))
    lines = [record.getMessage() for record in caplog.records]
    [line] = [line for line in lines if "scikit-learn" in line]
    assert "model.joblib was saved by scikit-learn 1.0.2 and this is " in line
    assert sklearn.__version__ in line


def test_the_version_is_logged_also_where_loading_fails(tmp_path, caplog, monkeypatch):
    estimator = make_pipeline(StandardScaler(), Broken())
    save_by_another_version(monkeypatch, estimator, tmp_path / "model.joblib")
    with pytest.raises(AttributeError, match="gone"):
        load_artifact(make_settings(tmp_path))
    assert "saved by scikit-learn 1.0.2" in caplog.text


def test_warnings_of_others_come_through(tmp_path):
    chatty = Chatty()
    chatty.said = False  # without a state, __setstate__ is not called
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(chatty))
    with pytest.warns(UserWarning, match="an old format"):
        load_artifact(make_settings(tmp_path))
