"""Writing results, in order or as they come."""

from __future__ import annotations

import asyncio
import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlserver_core.cli.inference.lines import Line
from mlserver_core.types import InferenceResponse, Parameters


def line(index, size=10):
    return Line(index=index, size=size)


def response(data=(1.5,), datatype="FP64", **more):
    output = {"name": "y", "shape": [len(data)], "datatype": datatype, "data": data, **more}
    return InferenceResponse(model_name="m", id="1", outputs=[output])


def written(results):
    return [json.loads(text) for text in results.file.getvalue().splitlines()]


def indexes(results):
    return [each["parameters"]["batch_index"] for each in written(results)]


@given(order=st.permutations(range(6)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_are_written_in_the_order_of_the_lines(parts, order):
    results = parts.results(is_ordered=True)
    for index in order:
        results.answer(line(index), response(), "i")
    assert indexes(results) == list(range(6))


async def test_unordered_results_are_written_as_they_come(parts):
    results = parts.results(is_ordered=False)
    for index in (2, 0, 1):
        results.fail(line(index), "inference error", "no")
    assert indexes(results) == [2, 0, 1]


async def test_empty_lines_have_no_result_and_hold_up_none(parts):
    results = parts.results()
    results.answer(line(1), response(), "i")
    assert written(results) == []
    results.skip(line(0))
    assert indexes(results) == [1]
    assert (results.answered, results.failed, results.size) == (1, 0, 20)


async def test_what_is_held_is_written_in_order_at_the_end(parts):
    results = parts.results()
    for index in (5, 3):
        results.answer(line(index), response(), "i")
    assert written(results) == []
    results.write_held()
    assert indexes(results) == [3, 5]


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_a_place_is_free_again_when_its_result_is_written(parts, is_ordered):
    results = parts.results(places=1, is_ordered=is_ordered)
    await results.reserve()
    next_place = asyncio.ensure_future(results.reserve())
    await asyncio.sleep(0)
    assert not next_place.done()
    results.answer(line(0), response(), "i")
    await next_place


async def test_a_held_result_keeps_its_place(parts):
    results = parts.results(places=2)
    await results.reserve()
    await results.reserve()
    results.answer(line(1), response(), "i")
    assert results.places.locked()
    results.answer(line(0), response(), "i")
    assert not results.places.locked()


async def test_an_answer_says_which_line_and_call_it_is_of(parts):
    results = parts.results()
    answer = response()
    answer.parameters = Parameters(mine=1)
    results.answer(line(0), answer, "call-1")
    (got,) = written(results)
    assert got["parameters"] == {"mine": 1, "batch_index": 0, "inference_id": "call-1"}
    assert got["outputs"] == [{"name": "y", "shape": [1], "datatype": "FP64", "data": [1.5]}]


async def test_an_error_line_has_the_form_of_mlserver(parts):
    results = parts.results()
    results.fail(line(0), "preprocessing error", "why")
    results.fail(line(1), "inference error", "how", "call-1")
    assert written(results) == [
        {
            "parameters": {"batch_index": 0},
            "error": {"status": "preprocessing error", "msg": "why"},
        },
        {
            "parameters": {"batch_index": 1, "inference_id": "call-1"},
            "error": {"status": "inference error", "msg": "how"},
        },
    ]
    assert (results.answered, results.failed) == (0, 2)


async def test_arrays_and_bytes_become_json(parts):
    results = parts.results()
    results.answer(line(0), response(np.float32([0.1, np.nan]), "FP32"), "i")
    results.answer(line(1), response(["a", b"\xc3\xbc"], "BYTES"), "i")
    assert [each["outputs"][0]["data"] for each in written(results)] == [[0.1, None], ["a", "ü"]]


async def test_bytes_that_are_no_text_become_base64_and_say_so(parts):
    results = parts.results()
    results.answer(line(0), response([b"\xff\xfe", b"a"], "BYTES"), "i")
    (output,) = written(results)[0]["outputs"]
    assert output["parameters"] == {"content_type": "base64"}
    assert [base64.b64decode(each) for each in output["data"]] == [b"\xff\xfe", b"a"]


async def test_an_answer_that_has_no_json_is_an_error_of_its_line(parts):
    results = parts.results()
    results.answer(line(0), response([object()], "BYTES"), "i")
    (got,) = written(results)
    assert got["error"]["status"] == "inference error"
    assert got["error"]["msg"].startswith("the answer cannot be written: ")


async def test_each_result_is_told(parts):
    results = parts.results()
    told = []
    results.tell = lambda now: told.append((now.answered, now.failed, now.size))
    results.answer(line(0), response(), "i")
    results.skip(line(1))
    results.fail(line(2), "inference error", "no")
    assert told == [(1, 0, 10), (1, 0, 20), (1, 1, 30)]


@pytest.mark.parametrize("data", [None, "a", ["a", ["b"]], {"a": 1}])
async def test_whatever_a_server_answers_as_data_is_written_as_it_is(parts, data):
    results = parts.results()
    output = {"name": "y", "shape": [1], "datatype": "BYTES", "data": data}
    results.answer(line(0), InferenceResponse(outputs=[output]), "i")
    assert written(results)[0]["outputs"][0]["data"] == data
