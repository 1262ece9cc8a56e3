from __future__ import annotations

import numpy as np
import pytest

from mlserver_core.engine.answers import seal
from mlserver_core.errors import RuntimeFailed
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse, ResponseOutput

SETTINGS = ModelSettings(name="m", implementation="a", parameters={"version": "3"})


def answer(datatype, shape, data):
    output = ResponseOutput(name="y", datatype=datatype, shape=shape, data=data)
    return InferenceResponse(outputs=[output])


def test_id_name_and_version_are_filled_in_and_the_runtimes_own_object_is_left_alone():
    given = answer("FP64", [2], [1, 2])
    sealed = seal(given, "7", SETTINGS)
    assert (sealed.id, sealed.model_name, sealed.model_version) == ("7", "m", "3")
    assert (given.id, given.model_name, given.outputs[0].data.root) == (None, "", [1, 2])


def test_numbers_become_an_array_of_their_datatype():
    root = seal(answer("FP32", [2, 2], [[1, 2], [3, None]]), "7", SETTINGS).outputs[0].data.root
    assert root.dtype == np.float32
    assert np.isnan(root[1, 1])


def test_an_array_that_fits_is_not_copied():
    array = np.ones((2, 3), "float32")
    assert seal(answer("FP32", [2, 3], array), "7", SETTINGS).outputs[0].data.root is array


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "text"),
    [
        ("FP64", [3], [1.0], "shape [3] expects 3 elements, got 1"),
        ("FP64", [3], np.ones(4), "shape [3] expects 3 elements, got 4"),
        ("INT8", [1], [300], "the value 300 does not fit datatype INT8"),
        ("INT64", [1], ["a"], "element 0 is the string 'a', expected INT64"),
        ("FP64", [-1], [1.0], "shape [-1] has a negative dimension"),
    ],
)
def test_numbers_that_do_not_fit_are_the_fault_of_the_runtime(datatype, shape, data, text, caplog):
    with pytest.raises(RuntimeFailed) as failed:
        seal(answer(datatype, shape, data), "7", SETTINGS)
    assert str(failed.value).startswith("the model's answer does not fit: tensor 'y': ")
    assert text in str(failed.value)
    assert "Model 'm'" in caplog.text


def test_text_may_stand_for_more_elements_than_one():
    assert seal(answer("BYTES", [4], ["a"]), "7", SETTINGS).outputs[0].data.root == ["a"]


def test_what_is_no_response_is_refused():
    with pytest.raises(RuntimeFailed, match="must return an InferenceResponse, got NoneType"):
        seal(None, "7", SETTINGS)
