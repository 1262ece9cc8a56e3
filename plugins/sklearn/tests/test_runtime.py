"""What SKLearnModel answers, and what it refuses."""

from __future__ import annotations

import re

import aiohttp
import numpy as np
import pandas as pd
import pytest
from conftest import make_request, make_settings, make_tensor
from grpclib.client import Channel
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_array

from mlserver_core import MLServer, Settings
from mlserver_core.errors import ErrorCode, InferenceError, ModelLoadError, RuntimeFailed
from mlserver_core.grpc import client as grpc
from mlserver_core.types import InferenceRequest


class Careful(BaseEstimator):
    """An estimator of somebody else that checks its input as scikit-learn advises."""

    def predict(self, rows):
        return check_array(rows)[:, 0]


class Buggy(BaseEstimator):
    """An estimator of somebody else with a fault of its own."""

    def predict(self, rows):
        return np.ones((2, 3)) @ np.ones((2, 3))


class Rows(BaseEstimator):
    """An estimator that answers with a list of rows."""

    def predict_proba(self, rows):
        return [np.array([0.25, 0.75]), np.array([0.5, 0.5]), np.array([1.0, 0.0])]


def outputs_of(model, request):
    return {output.name: output for output in model.predict(request).outputs}


def test_predict_is_the_default_output(make_model, classifier, iris):
    [output] = make_model(classifier).predict(make_request(iris.data[::50])).outputs
    assert (output.name, output.datatype, output.shape) == ("predict", "INT64", [3, 1])
    assert list(output.data) == classifier.predict(iris.data[::50]).tolist()


def test_requested_outputs_come_in_the_order_of_the_request(make_model, classifier, iris):
    request = make_request(iris.data[:2], "predict_proba", "predict")
    probabilities, labels = make_model(classifier).predict(request).outputs
    assert (probabilities.name, labels.name) == ("predict_proba", "predict")
    assert (probabilities.datatype, probabilities.shape) == ("FP64", [2, 3])
    np.testing.assert_allclose(probabilities.data, classifier.predict_proba(iris.data[:2]))


def test_an_empty_list_of_outputs_means_the_default(make_model, classifier, iris):
    request = InferenceRequest(inputs=[make_tensor(iris.data[:1])], outputs=[])
    assert [output.name for output in make_model(classifier).predict(request).outputs] == [
        "predict"
    ]


def test_transform_gives_what_the_transformer_returns(make_model, iris):
    scaler = StandardScaler().fit(iris.data)
    [output] = make_model(scaler).predict(make_request(iris.data[:5], "transform")).outputs
    np.testing.assert_allclose(output.data, scaler.transform(iris.data[:5]))


def test_predict_fn_replaces_the_default_output(make_model, classifier, iris):
    model = make_model(classifier, extra={"predict_fn": "predict_proba"})
    assert list(outputs_of(model, make_request(iris.data[:1]))) == ["predict_proba"]
    assert list(outputs_of(model, make_request(iris.data[:1], "predict"))) == ["predict"]


@pytest.mark.parametrize("wrong", ["predit", "fit", "", 7, ["predict"]])
def test_unknown_predict_fn_fails_the_load_and_lists_the_valid_ones(make_model, classifier, wrong):
    with pytest.raises(ModelLoadError, match="predict_fn") as caught:
        make_model(classifier, extra={"predict_fn": wrong})
    assert repr(wrong) in str(caught.value)
    assert "predict, predict_proba, transform" in str(caught.value)


def test_predict_fn_that_the_estimator_lacks_fails_the_load(make_model, classifier):
    with pytest.raises(ModelLoadError, match="LogisticRegression, which has no transform"):
        make_model(classifier, extra={"predict_fn": "transform"})


def test_an_artifact_that_is_no_estimator_fails_the_load(make_model):
    with pytest.raises(ModelLoadError, match="a dict, which has no predict or"):
        make_model({"weights": [1, 2]})


@pytest.mark.parametrize("name", ["predictions", "fit", "__class__"])
def test_unknown_output_is_refused_and_the_valid_ones_listed(make_model, classifier, iris, name):
    with pytest.raises(InferenceError, match=r"this model has predict, predict_proba$") as caught:
        make_model(classifier).predict(make_request(iris.data[:1], "predict", name))
    assert repr(name) in str(caught.value)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("kind", [LinearRegression, SVC])
def test_a_method_that_the_estimator_lacks_is_named_with_its_class(make_model, iris, kind):
    model = make_model(kind().fit(iris.data, iris.target))
    wanted = f"this {kind.__name__} has no predict_proba; it offers predict"
    with pytest.raises(InferenceError, match=wanted):
        model.predict(make_request(iris.data[:1], "predict_proba"))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([[1.0, 2.0]], "X has 2 features, but LogisticRegression is expecting 4"),
        ([[1.0, 2.0, 3.0, np.nan]], "Input X contains NaN"),
        ([1.0, 2.0, 3.0, 4.0], "Expected 2D array, got 1D array"),
        (np.empty((0, 4)), "Found array with 0 sample"),
    ],
)
def test_an_input_that_sklearn_refuses_is_the_callers_fault(make_model, classifier, values, text):
    with pytest.raises(InferenceError, match=text) as caught:
        make_model(classifier).predict(make_request(values))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_text_where_numbers_are_due_is_the_callers_fault(make_model, classifier):
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1, 4], "data": ["a", "b", "c", "d"]}
    with pytest.raises(InferenceError, match="not compatible with arrays of bytes/strings"):
        make_model(classifier).predict(InferenceRequest(inputs=[tensor]))


def test_text_in_a_dataframe_where_numbers_are_due_is_the_callers_fault(make_model):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    model = make_model(LinearRegression().fit(frame, [1, 2, 3]), content_type="pd")
    tensor = {"name": "a", "datatype": "BYTES", "shape": [1, 1], "data": ["many"]}
    with pytest.raises(InferenceError, match="could not convert string to float"):
        model.predict(InferenceRequest(inputs=[tensor]))


def test_an_unknown_category_is_the_callers_fault(make_model):
    model = make_model(OneHotEncoder().fit([[1.0], [2.0]]))
    with pytest.raises(InferenceError, match="Found unknown categories"):
        model.predict(make_request([[3.0]], "transform"))


def test_a_missing_column_is_the_callers_fault(make_model):
    frame = pd.DataFrame({"width": [1.0, 2.0], "height": [3.0, 5.0]})
    model = make_model(make_column_transformer((StandardScaler(), ["height"])).fit(frame))
    request = InferenceRequest(
        inputs=[make_tensor([[1.0]], "width")],
        outputs=[{"name": "transform"}],
        parameters={"content_type": "pd"},
    )
    with pytest.raises(InferenceError, match="height"):
        model.predict(request)


def test_an_input_check_in_an_estimator_of_others_is_the_callers_fault(make_model):
    with pytest.raises(InferenceError, match="contains NaN"):
        make_model(Careful()).predict(make_request([[np.nan]]))


def test_a_value_error_in_an_estimator_of_others_is_not_the_callers_fault(make_model):
    with pytest.raises(ValueError, match="matmul"):
        make_model(Buggy()).predict(make_request([[1.0]]))


def test_an_estimator_that_was_never_fitted_is_not_the_callers_fault(make_model):
    with pytest.raises(ValueError, match="not fitted yet") as caught:
        make_model(LinearRegression()).predict(make_request([[1.0]]))
    assert not isinstance(caught.value, InferenceError)


async def test_the_server_tells_both_kinds_of_fault_apart(serve, tmp_path, make_model):
    make_model(Buggy())
    (tmp_path / "model.joblib").rename(tmp_path / "buggy.joblib")
    make_model(Careful())
    settings = [make_settings(tmp_path, name, f"{name}.joblib") for name in ("buggy", "model")]
    served = await serve(*settings)
    with pytest.raises(InferenceError) as refused:
        await served.infer("model", inputs=[make_tensor([1.0])])
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(RuntimeFailed, match="ValueError: matmul"):
        await served.infer("buggy", inputs=[make_tensor([[1.0]])])


def test_a_result_with_many_targets_keeps_its_shape(make_model, iris):
    estimator = LinearRegression().fit(iris.data, np.column_stack([iris.target, -iris.target]))
    [output] = make_model(estimator).predict(make_request(iris.data[:5])).outputs
    assert output.shape == [5, 2]
    np.testing.assert_allclose(output.data, estimator.predict(iris.data[:5]))


def test_probabilities_of_many_targets_have_the_rows_first(make_model, iris):
    targets = np.column_stack([iris.target, 2 - iris.target])
    estimator = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(iris.data, targets)
    request = make_request(iris.data[:5], "predict_proba")
    [output] = make_model(estimator).predict(request).outputs
    assert output.shape == [5, 2, 3]
    np.testing.assert_allclose(output.data[:, 1], estimator.predict_proba(iris.data[:5])[1])


def test_probabilities_of_targets_with_unlike_classes_are_refused(make_model, iris):
    targets = np.column_stack([iris.target, iris.target > 0])
    estimator = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(iris.data, targets)
    with pytest.raises(InferenceError, match="number of classes"):
        make_model(estimator).predict(make_request(iris.data[:5], "predict_proba"))


def test_a_list_of_rows_stays_in_rows(make_model):
    [output] = make_model(Rows()).predict(make_request([[1.0]] * 3, "predict_proba")).outputs
    np.testing.assert_array_equal(output.data, [[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])


def test_a_sparse_result_goes_out_dense(make_model):
    encoder = OneHotEncoder(sparse_output=True).fit([[1.0], [2.0]])
    [output] = make_model(encoder).predict(make_request([[2.0], [1.0]], "transform")).outputs
    np.testing.assert_array_equal(output.data, [[0.0, 1.0], [1.0, 0.0]])


def test_the_columns_of_a_dataframe_are_outputs(make_model, iris):
    scaler = StandardScaler().set_output(transform="pandas").fit(iris.data)
    outputs = outputs_of(make_model(scaler), make_request(iris.data[:2], "transform"))
    assert list(outputs) == ["x0", "x1", "x2", "x3"]
    assert outputs["x3"].shape == [2, 1]
    np.testing.assert_allclose(outputs["x3"].data, scaler.transform(iris.data[:2])["x3"])


def test_a_dataframe_beside_another_output_is_refused(make_model, iris):
    scaler = StandardScaler().set_output(transform="pandas").fit(iris.data)
    with pytest.raises(InferenceError, match="ask for it alone"):
        make_model(scaler).predict(make_request(iris.data[:1], "transform", "transform"))


def test_content_type_pd_hands_the_estimator_named_columns(make_model):
    frame = pd.DataFrame({"width": [1.0, 2.0, 3.0], "height": [5.0, 7.0, 9.0]})
    estimator = make_column_transformer((StandardScaler(), ["height"])).fit(frame)
    inputs = [make_tensor([[7.0]], "height"), make_tensor([[9.0]], "width")]
    request = InferenceRequest(
        inputs=inputs, outputs=[{"name": "transform"}], parameters={"content_type": "pd"}
    )
    [output] = make_model(estimator).predict(request).outputs
    np.testing.assert_allclose(output.data, [[0.0]])


def test_content_type_str_hands_the_estimator_texts(make_model):
    texts = ["good good", "bad bad", "good", "bad"]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    model = make_model(estimator, content_type="str")
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["bad", "good"]}
    [output] = model.predict(InferenceRequest(inputs=[tensor])).outputs
    assert list(output.data) == [0, 1]


def test_an_estimator_that_works_in_place_does_not_spoil_the_next_output(make_model, iris):
    estimator = make_pipeline(StandardScaler(copy=False), LogisticRegression())
    estimator.fit(iris.data.copy(), iris.target)
    expected = estimator.predict_proba(iris.data[:5].copy())
    request = make_request(iris.data[:5], "predict", "predict_proba")
    outputs = outputs_of(make_model(estimator), request)
    np.testing.assert_allclose(outputs["predict_proba"].data, expected)


def test_the_content_type_asked_for_an_output_is_used(make_model, iris):
    estimator = LogisticRegression(max_iter=1000).fit(iris.data, iris.target_names[iris.target])
    wanted = {"name": "predict", "parameters": {"content_type": "str"}}
    request = InferenceRequest(inputs=[make_tensor(iris.data[:1])], outputs=[wanted])
    [output] = make_model(estimator).predict(request).outputs
    assert output.parameters.content_type == "str"
    assert list(output.data) == [b"setosa"]


@pytest.mark.parametrize("dtype", [str, object])
def test_class_names_are_bytes_without_padding(make_model, iris, dtype):
    names = iris.target_names[iris.target].astype(dtype)
    estimator = LogisticRegression(max_iter=1000).fit(iris.data, names)
    [output] = make_model(estimator).predict(make_request(iris.data[[0, 60]])).outputs
    assert (output.datatype, output.shape) == ("BYTES", [2, 1])
    assert list(output.data) == ["setosa", "versicolor"]
    assert all(type(name) is str for name in output.data)


async def test_class_names_travel_over_json_and_grpc(tmp_path, make_model, iris):
    names = iris.target_names[iris.target]
    make_model(LogisticRegression(max_iter=1000).fit(iris.data, names))
    server = MLServer(Settings(http_port=0, grpc_port=0, metrics_port=0))
    await server.startup([make_settings(tmp_path, name="flowers")])
    try:
        [rest] = re.findall(r"http://\S+", server.transports["rest"].listening)
        body = {"inputs": [make_tensor(iris.data[[0, 149]])]}
        url = f"{rest}/v2/models/flowers/infer"
        async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
            [output] = (await answer.json())["outputs"]
        assert (output["datatype"], output["data"]) == ("BYTES", ["setosa", "virginica"])

        port = int(server.transports["grpc"].listening.rpartition(":")[2])
        tensor = grpc.ModelInferRequestInferInputTensor(
            name="x",
            datatype="FP64",
            shape=[2, 4],
            contents=grpc.InferTensorContents(fp64_contents=iris.data[[0, 149]].ravel().tolist()),
        )
        async with Channel("127.0.0.1", port) as channel:
            stub = grpc.GrpcInferenceServiceStub(channel)
            reply = await stub.model_infer(
                grpc.ModelInferRequest(model_name="flowers", inputs=[tensor])
            )
        assert reply.outputs[0].contents.bytes_contents == [b"setosa", b"virginica"]
    finally:
        await server.stop()


def test_tensors_that_the_settings_do_not_declare_are_not_guessed(make_model):
    model = make_model(StandardScaler().fit([[1.0], [2.0]]))
    assert (model.inputs, model.outputs) == ([], [])
