"""decode_args: what predict takes and returns, and what is said when it does not fit."""

import re
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035  # as users write them

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mlserver_core import MLModel, ModelSettings
from mlserver_core.codecs import Codecs, InputCodec, NumpyCodec, decode_args, register_input_codec
from mlserver_core.codecs.decorator import prepare
from mlserver_core.codecs.plugin import built_in_codecs
from mlserver_core.errors import CodecError, InvalidRequest, MLServerError, RuntimeFailed
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters, RequestInput

INTEGERS = {"shape": [2], "datatype": "INT64", "data": [1, 2]}
TEXTS = {"shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
ONE = {"shape": [1], "datatype": "BYTES", "data": ["a"]}


class Array(np.ndarray):
    """An array of a library's own."""


def model(predict):
    """A model whose predict is this function, and what it was called with."""
    kind = type("Model", (MLModel,), {"predict": decode_args(predict)})
    settings = ModelSettings(name="m", implementation=kind, parameters={"version": "v1"})
    return kind(settings)


def request(parameters=None, outputs=None, **inputs):
    tensors = [RequestInput(name=name, **fields) for name, fields in inputs.items()]
    return InferenceRequest(inputs=tensors, parameters=parameters, outputs=outputs)


def argument(hint, tensor, default=None):
    """What an argument with that annotation gets for one input of its name."""

    def predict(self, x) -> str:
        self.got = x
        return "done"

    predict.__annotations__["x"] = hint
    made = model(predict)
    made.predict(request(x=tensor))
    return made.got


def returned(hint, value, **fields):
    def predict(self):
        return value

    if hint is not None:
        predict.__annotations__["return"] = hint
    return model(predict).predict(request(**fields))


def refusal(error, call, *arguments, **fields):
    with pytest.raises(error) as caught:
        call(*arguments, **fields)
    return str(caught.value)


# Arguments; fault W58 of MLServer: most of these annotations failed at import


@pytest.mark.parametrize(
    ("hint", "tensor", "value"),
    [
        (List[str], TEXTS, ["a", "b"]),  # noqa: UP006
        (list[str], TEXTS, ["a", "b"]),
        (list[str | None], TEXTS | {"data": ["a", None]}, ["a", None]),
        (Optional[List[str]], TEXTS, ["a", "b"]),  # noqa: UP006, UP045
        (list[str] | None, TEXTS, ["a", "b"]),
        (Union[List[str], None], TEXTS, ["a", "b"]),  # noqa: UP006, UP007
        ("list[str] | None", TEXTS, ["a", "b"]),
        (str, ONE, "a"),
        (str, ONE | {"data": [b"\xc3\xa9"]}, "é"),
        (Optional[str], ONE, "a"),  # noqa: UP045
        (str | None, ONE | {"data": [None]}, None),
        (dict, ONE | {"data": ['{"a": [1]}']}, {"a": [1]}),
        (Dict[str, Any], ONE | {"data": [b'{"a": [1]}']}, {"a": [1]}),  # noqa: UP006
        (list[dict], TEXTS | {"data": ["{}", '{"a": 1}']}, [{}, {"a": 1}]),
        (list[bytes], ONE | {"data": ["/wA="]}, [b"\xff\x00"]),
        (
            list[datetime],
            ONE | {"data": ["2026-01-31T12:00:00Z"]},
            [datetime(2026, 1, 31, 12, tzinfo=timezone.utc)],
        ),
    ],
)
def test_an_argument_gets_the_input_of_its_name_as_its_annotation_says(hint, tensor, value):
    assert argument(hint, tensor) == value


@pytest.mark.parametrize("hint", [np.ndarray, npt.NDArray[np.int64], np.ndarray | None, Array])
def test_arrays_come_as_the_class_that_is_annotated(hint):
    got = argument(hint, INTEGERS)
    assert type(got) is (Array if hint is Array else np.ndarray)
    np.testing.assert_array_equal(got, [1, 2])
    assert got.dtype == np.int64


async def test_async_and_plain_functions():
    async def wait(self, a: np.ndarray) -> np.ndarray:
        return a * 2

    def run(self, a: np.ndarray) -> np.ndarray:
        return a * 2

    sent = request(a=INTEGERS)
    for response in (await model(wait).predict(sent), model(run).predict(sent)):
        [output] = response.outputs
        assert (response.model_name, response.model_version) == ("m", "v1")
        assert (output.name, output.shape, output.data) == ("output-0", [2, 1], [[2], [4]]) or (
            output.data == [2, 4]
        )


def test_left_over_inputs_become_the_data_frame():
    def predict(self, first: np.ndarray, rest: pd.DataFrame) -> pd.DataFrame:
        self.got = rest
        return rest

    made = model(predict)
    text = TEXTS | {"parameters": {"content_type": "str"}}
    response = made.predict(request(b=text, first=INTEGERS, a=INTEGERS, rest=INTEGERS))

    assert made.got.to_dict("list") == {"b": ["a", "b"], "a": [1, 2], "rest": [1, 2]}
    assert [each.name for each in response.outputs] == ["b", "a", "rest"]
    assert response.parameters.content_type == "pd"


def test_an_absent_argument_gets_its_default_or_none():
    def predict(
        self,
        a: np.ndarray,
        b: list[str] = ("x",),
        c: str | None = "y",
        *,
        d: str | None = None,
        e: Optional[np.ndarray],  # noqa: UP045
    ) -> str:
        self.got = b, c, d, e
        return "done"

    made = model(predict)
    made.predict(request(a=INTEGERS))
    assert made.got == (("x",), "y", None, None)


def two(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def test_an_input_that_nobody_takes_is_named_with_the_arguments():
    call = model(two).predict
    assert refusal(InvalidRequest, call, request(a=INTEGERS, q=INTEGERS)) == (
        "Input 'q' was not found. Available inputs are 'a', 'b'."
    )


def test_an_input_that_is_missing_is_named_with_those_that_came():
    call = model(two).predict
    assert refusal(InvalidRequest, call, request(a=INTEGERS)) == (
        "Input 'b' was not found. Available inputs are 'a'."
    )
    assert refusal(InvalidRequest, call, request()) == (
        "Input 'a' was not found. There are no available inputs."
    )


@pytest.mark.parametrize(
    ("hint", "tensor", "expected"),
    [
        (str, TEXTS, "input 'x': expected one text, got 2 elements"),
        (str, ONE | {"data": [None]}, "input 'x': expected one text, got null"),
        (str, INTEGERS, "tensor 'x': content type 'str' needs datatype BYTES, got INT64"),
        (dict, ONE | {"data": ["[1]"]}, "input 'x': expected one JSON object, got a list"),
        (dict, ONE, "tensor 'x', element 0: not valid JSON"),
    ],
)
def test_an_input_that_is_not_what_its_argument_wants_is_refused(hint, tensor, expected):
    assert expected in refusal((InvalidRequest, CodecError), argument, hint, tensor)


def test_headers_and_parameters_by_name():
    def predict(self, headers: dict, parameters: Parameters) -> str:
        self.got = headers, parameters
        return "done"

    made = model(predict)
    parameters = Parameters(headers={"x-user": "me"}, temperature=0.5)
    made.predict(request(parameters=parameters))
    assert made.got == ({"x-user": "me"}, parameters)
    made.predict(request())
    assert made.got == ({}, Parameters())


def test_parameters_as_a_dict_leave_the_headers_out():
    def predict(
        self,
        parameters: dict[str, Any],
        headers: Optional[Dict[str, str]] = None,  # noqa: UP006, UP045
    ) -> str:
        self.got = parameters, headers
        return "done"

    made = model(predict)
    made.predict(request(parameters={"headers": {"a": "b"}, "temperature": 0.5}))
    assert made.got == ({"temperature": 0.5}, {"a": "b"})


@pytest.mark.parametrize("name", ["headers", "parameters"])
def test_an_input_cannot_say_what_the_transport_says(name):
    def predict(self, headers: dict, parameters: dict) -> str:
        return "done"

    sent = request({"headers": {"x-user": "me"}}, x=ONE | {"data": ['{"x-user": "root"}']})
    sent.inputs[0].name = name
    with pytest.raises(MLServerError, match=f"Input '{name}' was not found"):
        model(predict).predict(sent)


def test_two_inputs_of_one_name_are_refused():
    def predict(self, x: list[str]) -> str:
        return "done"

    twice = request(x=ONE)
    twice.inputs.append(twice.inputs[0])
    with pytest.raises(MLServerError, match="input 'x' was sent twice"):
        model(predict).predict(twice)


# Content types of the client


class Doubled(InputCodec):
    """Arrays, doubled."""

    ContentType = "doubled"
    TypeHint = np.ndarray

    @classmethod
    def decode_input(cls, request_input):
        return NumpyCodec.decode_input(request_input) * 2


def with_doubled(hint):
    def predict(self, x) -> str:
        self.got = x
        return "done"

    predict.__annotations__["x"] = hint
    made = model(predict)
    made.codecs = built_in_codecs().for_model("m", [register_input_codec(Doubled)])
    return made


@pytest.mark.parametrize(
    ("hint", "tensor", "content_type", "value"),
    [
        (np.ndarray, INTEGERS, "doubled", [2, 4]),
        (np.ndarray, INTEGERS, "str", [1, 2]),
        (list[str], TEXTS, "np", ["a", "b"]),
        (np.ndarray, INTEGERS, "pd", [1, 2]),
        (str, ONE, "base64", "a"),
    ],
)
def test_the_clients_content_type_counts_where_it_decodes_to_the_annotated_type(
    hint, tensor, content_type, value
):
    made = with_doubled(hint)
    made.predict(request(x=tensor | {"parameters": {"content_type": content_type}}))
    assert list(made.got) == list(value)


def test_an_unknown_content_type_is_refused_with_the_known_ones():
    sent = request(x=INTEGERS | {"parameters": {"content_type": "nonsense"}})
    assert "input 'x' has the unknown content type 'nonsense'; known are base64" in refusal(
        InvalidRequest, with_doubled(list[str]).predict, sent
    )


# Answers


@pytest.mark.parametrize(
    ("hint", "value", "outputs"),
    [
        (np.ndarray, np.array([1, 2]), [("output-0", "INT64", [2, 1])]),
        (Tuple[np.ndarray, List[str]], (np.zeros((1, 2)), ["a"]),  # noqa: UP006
         [("output-0", "FP64", [1, 2]), ("output-1", "BYTES", [1, 1])]),
        (tuple[str, dict], ("a", {"b": 1}),
         [("output-0", "BYTES", [1, 1]), ("output-1", "BYTES", [1, 1])]),
        (tuple[np.ndarray, pd.DataFrame], (np.zeros((1, 1)), pd.DataFrame({"c": [1]})),
         [("output-0", "FP64", [1, 1]), ("c", "INT64", [1, 1])]),
        (None, np.array([1, 2]), [("output-0", "INT64", [2, 1])]),
        (None, ("a", ["b"]), [("output-0", "BYTES", [1, 1]), ("output-1", "BYTES", [1, 1])]),
        (None, pd.DataFrame({"c": [1]}), [("c", "INT64", [1, 1])]),
        (list[datetime], [datetime(2026, 1, 31)], [("output-0", "BYTES", [1, 1])]),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_what_predict_returns_becomes_outputs(hint, value, outputs):
    made = returned(hint, value).outputs
    assert [(each.name, each.datatype, each.shape) for each in made] == outputs


def test_one_text_and_one_object_are_written_as_such():
    text, value = returned(tuple[str, dict], ("é", {"b": [1]})).outputs
    assert text.data == ["é".encode()]
    assert text.parameters.content_type == "str"
    assert value.data == [b'{"b":[1]}']
    assert value.parameters.content_type == "json"


def test_the_content_type_that_the_client_asks_for_is_honoured():
    outputs = [{"name": "output-0", "parameters": {"content_type": "base64"}}, {"name": "output-1"}]
    first, second = returned(tuple[list[str], str], (["a"], "b"), outputs=outputs).outputs
    assert first.data == [b"YQ=="]
    assert second.parameters.content_type == "str"


@pytest.mark.parametrize(
    ("content_type", "error", "expected"),
    [
        ("nonsense", InvalidRequest, "output 'output-0' has the unknown content type 'nonsense'"),
        ("pd", InvalidRequest, "cannot have the content type 'pd'"),
        ("datetime", CodecError, "output 'output-0', element 0: expected a time as ISO 8601"),
    ],
)
def test_a_content_type_that_cannot_be_is_the_clients_mistake(content_type, error, expected):
    outputs = [{"name": "output-0", "parameters": {"content_type": content_type}}]
    assert expected in refusal(error, returned, list[str], ["a"], outputs=outputs)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (np.ndarray, [1], "returned a list as output-0, its annotation says"),
        (list[str], [1], "returned a list as output-0, its annotation says"),
        (str, 5, "returned a int as output-0"),
        (np.ndarray, (np.zeros(1), np.zeros(1)), "returned 2 values, its annotation says 1"),
        (tuple[str, str], ("a",), "returned 1 values, its annotation says 2"),
        (pd.DataFrame, np.zeros(1), "returned a ndarray as output-0"),
        (np.ndarray, np.array([1j]), "returned what cannot be sent"),
        (None, object(), "no request codec can encode object"),
    ],
)
def test_a_wrong_answer_is_the_authors_mistake_and_says_what_was_wrong(hint, value, expected):
    text = refusal(RuntimeFailed, returned, hint, value)
    assert expected in text
    assert "predict" in text


# Annotations that cannot be


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, "no codec decodes argument 'x' to int; known are numpy.ndarray, list[str]"),
        (list, "no codec decodes argument 'x' to list"),
        (set[str], "no codec decodes argument 'x' to set[str]"),
        ("Nowhere", "cannot read the annotations of .*predict: name 'Nowhere' is not defined"),
    ],
)
def test_an_annotation_without_a_codec_is_named_at_load(hint, expected):
    def predict(self, x):
        raise AssertionError

    predict.__annotations__["x"] = hint
    made = model(predict)
    assert re.search(expected.replace("[", r"\["), refusal(RuntimeFailed, prepare, made))
    assert re.search(
        expected.replace("[", r"\["), refusal(RuntimeFailed, made.predict, request(x=ONE))
    )


def test_an_argument_without_annotation_or_name_is_refused():
    def bare(self, x):
        raise AssertionError

    def starred(self, *x: np.ndarray):
        raise AssertionError

    def keywords(self, **x: np.ndarray):
        raise AssertionError

    assert "argument 'x' has no annotation" in refusal(RuntimeFailed, prepare, model(bare))
    for each in (starred, keywords):
        assert "argument 'x' cannot be given by name" in refusal(
            RuntimeFailed, prepare, model(each)
        )


def test_a_return_annotation_without_a_codec_is_named_at_load():
    def predict(self, x: str) -> tuple[str, int]:
        raise AssertionError

    assert "returns int at position 1" in refusal(RuntimeFailed, prepare, model(predict))


def test_a_stream_is_refused():
    async def predict_stream(self, payloads):
        yield 1

    def generator(self, payloads):
        yield 1

    for each in (predict_stream, generator):
        with pytest.raises(TypeError, match="decode_args does not apply to"):
            decode_args(each)


# Once per model


def test_codecs_are_looked_up_once_per_model_and_again_with_other_codecs(monkeypatch):
    made = model(two)
    prepare(made)
    looked = []
    original = Codecs.input_codec_of_hint

    def look(self, hint):
        looked.append(hint)
        return original(self, hint)

    monkeypatch.setattr(Codecs, "input_codec_of_hint", look)
    made.predict(request(a=INTEGERS, b=INTEGERS))
    made.predict(request(a=INTEGERS, b=INTEGERS))
    assert looked == []
    made.codecs = built_in_codecs()
    made.predict(request(a=INTEGERS, b=INTEGERS))
    assert looked != []


def test_prepare_leaves_a_plain_predict_alone():
    prepare(MLModel(ModelSettings(name="m", implementation=MLModel)))


async def test_a_model_in_a_module_space_with_future_annotations(start, folder_model, ask):
    settings = folder_model(
        "m",
        """
        from __future__ import annotations

        import numpy as np

        from mlserver_core import MLModel
        from mlserver_core.codecs import decode_args
        from types_of_mine import Numbers


        class Model(MLModel):
            @decode_args
            def predict(self, x: Numbers, headers: dict, note: str | None = None) -> np.ndarray:
                return x * 2
        """,
    )
    (settings.folder / "types_of_mine.py").write_text("import numpy as np\nNumbers = np.ndarray\n")
    engine = await start(settings)

    response = await ask(engine, data=(1.0, 2.0))

    assert isinstance(response, InferenceResponse)
    assert list(response.outputs[0].data) in ([2.0, 4.0], [[2.0], [4.0]])
