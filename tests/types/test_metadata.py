"""Metadata of the server and of models."""

import pytest

from mlserver_core.types import (
    Datatype,
    InferenceErrorResponse,
    MetadataModelErrorResponse,
    MetadataModelResponse,
    MetadataServerErrorResponse,
    MetadataServerResponse,
    MetadataTensor,
    Parameters,
)

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {"content_type": "np"}}


def test_a_tensor_converts_its_arguments():
    made = MetadataTensor(**TENSOR)

    assert made.datatype is Datatype.FP32
    assert made.shape == [-1, 4]
    assert made.parameters == Parameters(content_type="np")


def test_a_shape_may_be_a_tuple():
    assert MetadataTensor(name="x", datatype="FP32", shape=(-1, 4)).shape == [-1, 4]


def test_model_metadata_takes_dicts_and_instances():
    made = MetadataModelResponse(
        name="m", platform="p", versions=["v1"], inputs=[TENSOR], outputs=[MetadataTensor(**TENSOR)]
    )

    assert made.inputs == [MetadataTensor(**TENSOR)]
    assert made.inputs == made.outputs


def test_model_metadata_without_tensors_has_none():
    made = MetadataModelResponse(name="m", platform="p")

    assert (made.inputs, made.outputs, made.versions, made.parameters) == (None, None, None, None)
    assert made.model_dump() == {"name": "m", "platform": "p"}


def test_metadata_of_a_model_from_plain_data():
    plain = {"name": "m", "platform": "p", "versions": ["v1"], "inputs": [TENSOR], "outputs": []}
    made = MetadataModelResponse.model_validate(plain)

    assert made.inputs == [MetadataTensor(**TENSOR)]
    assert made.model_dump() == plain


def test_server_metadata_dumps_its_three_fields():
    made = MetadataServerResponse(name="mlserver", version="1", extensions=["a"])

    assert made.model_dump() == {"name": "mlserver", "version": "1", "extensions": ["a"]}


@pytest.mark.parametrize(
    "cls", [MetadataServerErrorResponse, MetadataModelErrorResponse, InferenceErrorResponse]
)
def test_error_objects_hold_one_text(cls):
    assert cls(error="no").model_dump() == {"error": "no"}
