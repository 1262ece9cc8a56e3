"""``mlserver check-batching`` against a server that runs."""

from __future__ import annotations

import json
import re
import textwrap

import pytest
from click.testing import CliRunner

from mlserver_core.cli.check_batching import check_batching

#: Answers each row by itself; refuses 13.
GOOD = """
    import numpy as np
    from mlserver_core import MLModel
    from mlserver_core.errors import InferenceError
    from mlserver_core.types import InferenceResponse, ResponseOutput

    class Model(MLModel):
        async def predict(self, payload):
            tensor = payload.inputs[0]
            values = np.asarray(tensor.data).reshape(tensor.shape)
            if 13 in values:
                raise InferenceError("no thirteens")
            return self.answer(values)

        def answer(self, values):
            data = (values * 2).reshape(-1)
            shape = list(values.shape)
            return InferenceResponse(
                outputs=[ResponseOutput(name="y", shape=shape, datatype="FP64", data=data)]
            )
"""
#: A row's answer depends on who else is in the batch.
MIXING = (
    GOOD
    + """
        def answer(self, values, answer=answer):
            return answer(self, values - values.mean())
"""
)
#: The same, where a small number is all that it answers.
TINY = (
    MIXING
    + """
        def answer(self, values, answer=answer):
            return answer(self, values * 1e-9)
"""
)
#: Answers one row, however many it is asked.
SUMMING = (
    GOOD
    + """
        def answer(self, values, answer=answer):
            return answer(self, values.sum(axis=0, keepdims=True))
"""
)
#: Answers to one row differ from call to call.
COUNTING = (
    GOOD
    + """
        def answer(self, values, answer=answer):
            self.calls = getattr(self, "calls", 0) + 1
            return answer(self, values + self.calls)
"""
)
BATCHING = {"max_batch_size": 8, "max_batch_time": 0.01, "batch_when_idle": False}
INPUTS = [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}]


MODELS = {
    "good": (GOOD, {"inputs": INPUTS, **BATCHING}),
    "mixing": (MIXING, BATCHING),
    "counting": (COUNTING, BATCHING),
    "tiny": (TINY, BATCHING),
    "summing": (SUMMING, BATCHING),
    "alone": (GOOD, {"inputs": INPUTS}),
}


@pytest.fixture(scope="module")
def server(module_server, tmp_path_factory):
    """Serves all of the models."""
    root = tmp_path_factory.mktemp("models")
    for name, (code, values) in MODELS.items():
        folder = root / name
        folder.mkdir()
        (folder / "models.py").write_text(textwrap.dedent(code), encoding="utf-8")
        settings = {"name": name, "implementation": "models.Model", **values}
        (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return module_server(root)


@pytest.fixture
def check(server):
    """Runs the command on a model."""

    def run(model, *arguments, metrics=f"http://127.0.0.1:{server.metrics_port}/metrics"):
        options = ("--url", f"127.0.0.1:{server.http_port}", "--metrics-url", metrics)
        return CliRunner().invoke(check_batching, [model, *options, *map(str, arguments)])

    return run


def stages(text):
    """Calls and differences by stage."""
    rows = re.findall(r"^(\S[^:\n]*?) +(\d+) +(\d+)$", text, re.MULTILINE)
    return {name: (int(calls), int(differences)) for name, calls, differences in rows}


def requests(*rows):
    """A file of requests, each of the given rows."""
    lines = [
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [len(each), 1], "data": each}]}
        for each in rows
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def test_a_model_that_answers_row_by_row_passes_and_what_was_merged_is_told(check):
    found = check("good")
    assert found.exit_code == 0, found.output
    assert stages(found.output) == {
        "alone, a second time": (32, 0),
        "together": (32, 0),
        "together, shuffled": (32, 0),
        "among bad rows": (34, 0),
    }
    merged = re.search(r"128 requests came to the model in (\d+) calls", found.output)
    assert int(merged[1]) < 128


@pytest.mark.parametrize("model", ["mixing", "tiny"])
def test_a_model_whose_rows_mix_fails_and_the_rows_are_named(check, write, model):
    rows = write("rows.jsonl", requests([1, 2, 3], [4]))
    found = check(model, "--input", rows)
    assert found.exit_code == 1, found.output
    assert stages(found.output)["alone, a second time"] == (4, 0)
    assert stages(found.output)["together"] == (4, 4)
    assert "together: line 1, row 2: output 'y', element 0: 0.0 alone, " in found.output
    assert "together: line 2: output 'y'" in found.output


def test_bad_rows_of_a_file_fail_alone_and_harm_no_others(check, write):
    rows = write("rows.jsonl", requests([1, 2, 3, 4, 5]))
    poison = write("poison.jsonl", requests([13], [6, 13]))
    found = check("good", "--input", rows, "--poison", poison)
    assert found.exit_code == 0, found.output
    assert stages(found.output)["among bad rows"] == (5 + 2 + 3, 0)


def test_a_model_that_never_answers_twice_the_same_is_told_from_one_that_mixes_rows(check, write):
    rows = write("rows.jsonl", requests([1, 2]))
    found = check("counting", "--input", rows)
    assert found.exit_code == 1
    assert "differ from call to call, whether batched or not" in found.output


def test_a_model_without_batching_passes_and_it_is_said_that_nothing_was_merged(check):
    found = check("alone")
    assert found.exit_code == 0, found.output
    assert "Adaptive batching is off for this model" in found.output


def test_a_model_that_merged_nothing_is_not_said_to_have_merged(check, write):
    rows = write("rows.jsonl", requests([1]))
    found = check("good", "--input", rows)
    assert found.exit_code == 0, found.output
    assert "No merge was seen: 4 requests came to the model in 4 calls." in found.output


def test_a_model_whose_batches_are_of_no_use_is_not_said_to_have_merged(check, write):
    rows = write("rows.jsonl", requests([1, 2, 3, 4, 5]))
    found = check("summing", "--input", rows)
    assert found.exit_code == 0, found.output
    asked = re.search(r"Batching costs time: 20 requests came to the model in (\d+)", found.output)
    assert int(asked[1]) > 20


def test_without_metrics_it_is_not_known_whether_requests_were_merged(check):
    found = check("good", metrics="http://127.0.0.1:9/metrics")
    assert found.exit_code == 0, found.output
    assert "whether requests were merged is not known" in found.output


def test_what_cannot_be_asked_is_an_error_of_usage_that_says_why(check, write):
    found = check("mixing")
    assert found.exit_code == 2
    assert "does not say what inputs it takes; give requests with --input" in found.output
    bad = check("good", "--input", write("rows.jsonl", "no json\n"))
    assert bad.exit_code == 2
    assert "line 1: the line is not valid JSON" in bad.output
    empty = check("good", "--input", write("rows.jsonl", "\n"))
    assert (empty.exit_code, "has no requests" in empty.output) == (2, True)
    unknown = check("nobody", "--input", write("rows.jsonl", requests([1])))
    assert unknown.exit_code == 2
    assert "the model answers no row, even alone: 404: Model nobody not found" in unknown.output
    assert "answers 404" in check("nobody").output
