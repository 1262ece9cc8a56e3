from __future__ import annotations

import numpy as np
import pytest

from mlserver_core import MLModel, ModelSettings
from mlserver_core.codecs import NumpyCodec, NumpyRequestCodec, StringCodec
from mlserver_core.errors import CodecError, InvalidRequest, Unsupported
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    RequestInput,
    RequestOutput,
)

TENSOR = {"name": "x", "datatype": "FP32", "shape": [2]}


def model(**fields):
    return MLModel(ModelSettings(**{"name": "m", "implementation": MLModel, **fields}))


def tensor(**fields):
    return RequestInput(**{**TENSOR, "data": np.array([1, 2], "float32"), **fields})


def text(**fields):
    return RequestInput(**{"name": "s", "datatype": "BYTES", "shape": [1], "data": ["é"], **fields})


def test_a_model_has_the_name_version_and_tensors_of_its_settings():
    made = model(parameters={"version": "2"}, inputs=[TENSOR], outputs=[{**TENSOR, "name": "y"}])
    assert (made.name, made.version) == ("m", "2")
    assert [each.name for each in made.inputs] == ["x"]
    assert [each.name for each in made.outputs] == ["y"]
    assert made.settings.name == "m"
    assert made.ready is False


def test_a_model_without_parameters_has_no_version():
    assert model().version is None


async def test_load_and_unload_succeed_by_default_and_predict_is_unsupported():
    made = model()
    assert await made.load() is True
    assert await made.unload() is True
    with pytest.raises(Unsupported, match=r"MLModel has no predict\(\)"):
        await made.predict(InferenceRequest(inputs=[]))


async def test_metadata_is_what_the_settings_declare():
    made = model(
        platform="sklearn",
        versions=["1"],
        inputs=[TENSOR],
        parameters={"content_type": "np", "secret": "uri"},
    )
    metadata = await made.metadata()
    assert metadata.model_dump() == {
        "name": "m",
        "versions": ["1"],
        "platform": "sklearn",
        "inputs": [TENSOR],
        "outputs": [],
        "parameters": {"content_type": "np"},
    }


async def test_metadata_without_parameters_has_none():
    assert (await model().metadata()).parameters is None


async def test_tensors_assigned_in_load_show_in_metadata_and_count_for_decoding():
    made = model()
    made.inputs = [MetadataTensor(**TENSOR, parameters={"content_type": "np"})]
    made.outputs = [MetadataTensor(**{**TENSOR, "name": "y"}, parameters={"content_type": "np"})]
    metadata = await made.metadata()
    assert [each.name for each in metadata.inputs + metadata.outputs] == ["x", "y"]
    assert isinstance(made.decode(tensor()), np.ndarray)
    assert made.encode(np.zeros(1), RequestOutput(name="y")).parameters.content_type == "np"


def test_decode_goes_by_the_inputs_own_content_type_first():
    made = model(
        inputs=[
            {"name": "s", "datatype": "BYTES", "shape": [1], "parameters": {"content_type": "np"}}
        ]
    )
    assert made.decode(text(parameters={"content_type": "str"}), NumpyCodec) == ["é"]


def test_decode_goes_by_the_declared_content_type_next():
    declared = {**TENSOR, "parameters": {"content_type": "np"}}
    made = model(inputs=[declared])
    assert made.decode(tensor(), StringCodec).dtype == np.float32


def test_decode_goes_by_the_default_codec_then():
    assert model(inputs=[TENSOR]).decode(text(), StringCodec) == ["é"]


def test_decode_without_any_content_type_gives_the_data_itself():
    asked = tensor()
    assert model().decode(asked) is asked.data


def test_decode_refuses_an_unknown_content_type_and_names_the_input():
    with pytest.raises(InvalidRequest, match="input 'x' has the unknown content type 'nonsense'"):
        model().decode(tensor(parameters={"content_type": "nonsense"}), NumpyCodec)


def test_decode_request_goes_by_request_then_settings_then_default():
    asked = InferenceRequest(inputs=[text()], parameters={"content_type": "str"})
    assert model(parameters={"content_type": "np"}).decode_request(asked) == ["é"]
    plain = InferenceRequest(inputs=[tensor()])
    settings = model(parameters={"content_type": "np"})
    assert isinstance(settings.decode_request(plain), np.ndarray)
    assert isinstance(model().decode_request(plain, NumpyRequestCodec), np.ndarray)
    assert model().decode_request(plain) is plain


def test_decode_request_refuses_an_unknown_content_type():
    asked = InferenceRequest(inputs=[], parameters={"content_type": "nonsense"})
    with pytest.raises(InvalidRequest, match="the request has the unknown content type"):
        model().decode_request(asked, NumpyRequestCodec)


def test_encode_goes_by_the_requested_content_type_first():
    wanted = RequestOutput(name="y", parameters={"content_type": "str"})
    output = model().encode(["a"], wanted, NumpyCodec)
    assert (output.name, output.datatype, output.parameters.content_type) == ("y", "BYTES", "str")


def test_encode_goes_by_the_declared_content_type_next():
    declared = {"name": "y", "datatype": "BYTES", "shape": [1]}
    made = model(outputs=[{**declared, "parameters": {"content_type": "str"}}])
    assert made.encode(["a"], RequestOutput(name="y"), NumpyCodec).parameters.content_type == "str"


def test_encode_goes_by_what_the_payload_is_without_any_content_type():
    assert model().encode(np.zeros(2), RequestOutput(name="y")).datatype == "FP64"
    assert model().encode(["a"], RequestOutput(name="y")).datatype == "BYTES"
    assert model().encode(np.zeros(2), RequestOutput(name="y"), StringCodec).datatype == "FP64"


def test_encode_refuses_what_no_codec_can_encode():
    with pytest.raises(
        CodecError, match="no input codec can encode object; known are np, str, base64"
    ):
        model().encode(object(), RequestOutput(name="y"))


def test_encode_leaves_what_no_codec_knows_to_the_default():
    output = model().encode([1, 2], RequestOutput(name="y"), NumpyCodec)
    assert (output.datatype, output.shape) == ("INT64", [2, 1])


def test_encode_response_goes_by_what_the_payload_is():
    response = model(parameters={"version": "3"}).encode_response(np.zeros((1, 2)))
    assert isinstance(response, InferenceResponse)
    assert (response.model_name, response.model_version) == ("m", "3")
    assert response.outputs[0].shape == [1, 2]


def test_encode_response_refuses_what_no_codec_can_encode():
    with pytest.raises(CodecError, match="no request codec can encode object"):
        model().encode_response(object())


def test_a_model_made_without_a_server_has_the_built_in_codecs_of_its_own():
    first, second = model(), model()
    assert {"np", "str"} <= set(first.codecs.inputs)
    assert first.codecs is first.codecs
    assert first.codecs is not second.codecs
