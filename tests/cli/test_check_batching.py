"""``mlserver check-batching`` against a server that runs."""

from __future__ import annotations

import json
import re
import textwrap
import urllib.request

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
    "fading": (GOOD, {"inputs": INPUTS, **BATCHING}),
    "cached": (GOOD, {"inputs": INPUTS, "cache_enabled": True, **BATCHING}),
    "strict": (
        GOOD,
        {"inputs": [INPUTS[0] | {"shape": [-1, 1]}], "strict_inputs": True, **BATCHING},
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder of all of the models."""
    root = tmp_path_factory.mktemp("models")
    (root / "settings.json").write_text('{"cache_enabled": true}', encoding="utf-8")
    for name, (code, values) in MODELS.items():
        folder = root / name
        folder.mkdir()
        (folder / "models.py").write_text(textwrap.dedent(code), encoding="utf-8")
        settings = {"name": name, "implementation": "models.Model", **values}
        (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server(module_server, root):
    """Serves all of the models."""
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


def test_a_model_without_batching_proves_nothing(check):
    found = check("alone")
    assert found.exit_code == 3, found.output
    assert "Nothing is proven about batches. No requests were merged: adaptive batching is off" in (
        found.output
    )


def test_a_model_whose_batching_a_reload_took_away_proves_nothing(check, server, root):
    assert check("fading").exit_code == 0
    settings = {"name": "fading", "implementation": "models.Model", "inputs": INPUTS}
    (root / "fading/model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    load = f"http://127.0.0.1:{server.http_port}/v2/repository/models/fading/load"
    with urllib.request.urlopen(urllib.request.Request(load, method="POST")) as answer:
        assert answer.status == 200
    found = check("fading")
    assert found.exit_code == 3, found.output
    assert "No requests were merged: adaptive batching is off for this model" in found.output


def test_answers_of_the_response_cache_prove_nothing(check):
    found = check("cached")
    assert found.exit_code == 3, found.output
    assert "No requests were merged: the response cache answered all 128." in found.output


def test_requests_that_are_refused_before_they_are_batched_do_not_count_as_merged(check, write):
    wide = {"name": "x", "datatype": "FP64", "shape": [1, 3], "data": [1, 2, 3]}
    text = json.dumps({"inputs": [wide]}) + "\n" + requests([1])
    found = check("strict", "--input", write("rows.jsonl", text))
    assert found.exit_code == 3, found.output
    assert "No requests were merged: 4 came to the model in 4 calls." in found.output


def test_a_model_that_merged_nothing_is_not_said_to_have_merged(check, write):
    rows = write("rows.jsonl", requests([1]))
    found = check("good", "--input", rows)
    assert found.exit_code == 3, found.output
    assert "No requests were merged: 4 came to the model in 4 calls." in found.output


def test_a_model_whose_batches_are_of_no_use_is_not_said_to_have_merged(check, write):
    rows = write("rows.jsonl", requests([1, 2, 3, 4, 5]))
    found = check("summing", "--input", rows)
    assert found.exit_code == 3, found.output
    asked = re.search(r"Batching costs time: 20 requests came to the model in (\d+)", found.output)
    assert int(asked[1]) > 20


def test_without_metrics_it_is_not_known_whether_requests_were_merged_and_the_url_is_named(
    check, server
):
    found = check("good", metrics="http://127.0.0.1:9/metrics")
    assert found.exit_code == 3, found.output
    assert "The metrics at http://127.0.0.1:9/metrics (--metrics-url) cannot be used:" in (
        found.output
    )
    assert "so whether requests were merged is not known" in found.output
    wrong = f"http://127.0.0.1:{server.http_port}/v2"
    assert f"The metrics at {wrong} (--metrics-url) cannot be used: what is there are no" in (
        check("good", metrics=wrong).output
    )
    missing = f"http://127.0.0.1:{server.metrics_port}/other"
    assert f"{missing} (--metrics-url) cannot be used: status 404" in (
        check("good", metrics=missing).output
    )


def test_metrics_of_another_server_do_not_count(check, module_server, tmp_path):
    (tmp_path / "model-settings.json").write_text('{"name": "e", "implementation": "echo"}')
    other = module_server(tmp_path)
    url = f"http://127.0.0.1:{other.metrics_port}/metrics"
    found = check("good", metrics=url)
    assert found.exit_code == 3, found.output
    assert f"The metrics at {url} (--metrics-url) cannot be used: no model 'good' in them" in (
        found.output
    )


@pytest.mark.parametrize("form", ["http://{}", "http://{}/", "{}", "{}/metrics"])
def test_the_metrics_are_found_with_or_without_their_path(check, server, form):
    found = check("good", metrics=form.format(f"127.0.0.1:{server.metrics_port}"))
    assert found.exit_code == 0, found.output


def test_what_cannot_be_asked_is_one_line_that_says_why(check, write):
    def error(*arguments):
        found = check(*arguments)
        assert found.exit_code == 1
        [line] = found.output.splitlines()
        return line

    text = error("mixing")
    assert text.startswith("Error: model 'mixing' does not say what inputs it takes; give requests")
    rows = write("bad.jsonl", "no json\n")
    assert f"Error: {rows}, line 1: the line is not valid JSON" in error("good", "--input", rows)
    assert "has no requests" in error("good", "--input", write("empty.jsonl", "\n"))
    unknown = error("nobody", "--input", write("rows.jsonl", requests([1])))
    assert "the model answers no row, even alone: 404: Model nobody not found" in unknown
    assert "answers 404" in error("nobody")
    assert "Error: no answer from http://127.0.0.1:9/v2/models/good" in error(
        "good", "--url", "127.0.0.1:9"
    )


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--url", "http://", "expected HOST:PORT as URL"),
        ("--metrics-url", "ftp://a/metrics", "expected HOST:PORT or a URL as --metrics-url"),
        ("--metrics-url", "a:b", "expected HOST:PORT or a URL as --metrics-url"),
        ("--request-headers", "none", "expected a header as 'NAME: VALUE'"),
    ],
)
def test_an_option_that_cannot_be_used_is_an_error_of_usage(check, option, value, problem):
    found = check("good", option, value)
    assert found.exit_code == 2
    assert found.output.startswith("Usage: ")
    assert problem in found.output
