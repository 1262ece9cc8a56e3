from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import urllib.error
import urllib.request
import uuid

import pytest

FP32 = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2.5, 3, 4]}


def call(server, method, path, body=None, headers=None):
    """One HTTP call, as raw as http.client makes it: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    try:
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def infer(server, model, body, headers=None):
    status, got, answer = call(server, "POST", f"/v2/models/{model}/infer", body, headers)
    return status, got, json.loads(answer)


def test_answer_has_model_id_parameters_and_outputs_in_this_order(shared_server):
    status, headers, body = infer(shared_server, "echo", {"id": "abc", "inputs": [FP32]})
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert list(body) == ["model_name", "id", "parameters", "outputs"]
    assert body == {
        "model_name": "echo",
        "id": "abc",
        "parameters": {},
        "outputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2.5, 3, 4]}],
    }


@pytest.mark.parametrize("id", [{}, {"id": None}], ids=["absent", "null"])
def test_missing_id_is_made(shared_server, id):
    _, headers, body = infer(shared_server, "echo", {**id, "inputs": [FP32]})
    assert uuid.UUID(body["id"]).version == 4
    assert headers["Ce-Id"] == body["id"]


def test_id_of_any_text_is_echoed_and_its_header_percent_encoded(shared_server):
    _, headers, body = infer(shared_server, "echo", {"id": "Grüße ✓", "inputs": [FP32]})
    assert body["id"] == "Grüße ✓"
    assert headers["Ce-Id"] == "Gr%C3%BC%C3%9Fe %E2%9C%93"


def test_nested_data_is_the_same_tensor_as_flat_data(shared_server):
    nested = {**FP32, "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    _, _, body = infer(shared_server, "echo", {"inputs": [nested]})
    assert body["outputs"][0]["data"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/problem+json",
        "application/octet-stream",
    ],
)
def test_json_is_taken_under_any_name_of_json(shared_server, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    status, _, _ = infer(shared_server, "echo", {"inputs": [FP32]}, headers)
    assert status == 200


def test_other_content_type_is_refused_with_what_to_send(shared_server):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, body = infer(shared_server, "echo", {"inputs": [FP32]}, headers)
    assert status == 400
    assert body == {
        "error": "the request body is announced as 'application/x-www-form-urlencoded'; send "
        "JSON with the header 'Content-Type: application/json'"
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the request body is not valid JSON"),
        (b"\xff", "the request body is not valid JSON"),
        (b"", "inputs: required, but missing"),
        ({}, "inputs: required, but missing"),
        ([], "expected an object, got a list"),
        ({"inputs": {}}, "inputs: expected a list, got an object"),
        ({"inputs": [{**FP32, "datatype": "FP31"}]}, "inputs[0].datatype: expected one of BOOL"),
        ({"inputs": [{**FP32, "shape": [5]}]}, "tensor 'x': shape [5] expects 5 elements, got 4"),
        ({"inputs": [{**FP32, "shape": [-1, 4]}]}, "tensor 'x': shape [-1, 4] has a negative"),
        (
            {"inputs": [{**FP32, "datatype": "INT32"}]},
            "tensor 'x': the value 2.5 does not fit datatype INT32",
        ),
        (
            {"inputs": [{**FP32, "data": [1, None, "a", 4]}]},
            "tensor 'x': element 2 is the string 'a', expected FP32",
        ),
        (b"[" * 5000, "the request body is not valid JSON"),
        (
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":'
            + b"[" * 90
            + b"1"
            + b"]" * 90
            + b"}]}",
            "tensor 'x': ",
        ),
    ],
)
def test_mistake_of_the_client_is_a_400_that_says_where(shared_server, body, text):
    status, headers, answer = infer(shared_server, "echo", body)
    assert status == 400
    assert headers["Content-Type"].startswith("application/json")
    assert list(answer) == ["error"]
    assert answer["error"].startswith(text)


def test_unknown_fields_are_ignored_at_every_level(shared_server):
    body = {"inputs": [{**FP32, "colour": 1}], "outputs": [{"name": "x", "y": 2}], "z": {}}
    assert infer(shared_server, "echo", body)[0] == 200


def binary(plain, *buffers):
    """A body with binary tensors, and its header."""
    text = json.dumps(plain).encode()
    return b"".join([text, *buffers]), {"Inference-Header-Content-Length": str(len(text))}


BINARY = {"name": "x", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}}


def test_binary_tensors_come_in_and_go_out(shared_server):
    plain = {"id": "7", "inputs": [BINARY], "parameters": {"binary_data_output": True}}
    body, sent = binary(plain, b"\1\0\2\0")
    status, headers, answer = call(shared_server, "POST", "/v2/models/echo/infer", body, sent)
    length = int(headers["Inference-Header-Content-Length"])
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert json.loads(answer[:length]) == {
        "model_name": "echo",
        "id": "7",
        "parameters": {},
        "outputs": [BINARY],
    }
    assert answer[length:] == b"\1\0\2\0"


def test_binary_input_is_answered_in_json_where_no_output_is_asked_for_binary(shared_server):
    body, sent = binary({"inputs": [BINARY]}, b"\1\0\2\0")
    status, headers, answer = infer(shared_server, "echo", body, sent)
    assert status == 200
    assert "Inference-Header-Content-Length" not in headers
    assert answer["outputs"] == [{"name": "x", "shape": [2], "datatype": "INT16", "data": [1, 2]}]


def test_binary_size_that_does_not_fit_is_a_400_and_the_connection_stays(shared_server):
    connection = http.client.HTTPConnection("127.0.0.1", shared_server.http_port, timeout=30)
    for buffer, status in ((b"\1", 400), (b"\1\0\2\0\3", 400), (b"\1\0\2\0", 200)):
        body, sent = binary({"inputs": [BINARY]}, buffer)
        connection.request("POST", "/v2/models/echo/infer", body, sent)
        answer = connection.getresponse()
        got = json.loads(answer.read())
        assert answer.status == status
        assert ("error" in got) == (status == 400)
    connection.close()


def test_compressed_body_with_binary_tensors_is_read(shared_server):
    body, sent = binary({"inputs": [BINARY]}, b"\1\0\2\0")
    headers = {**sent, "Content-Encoding": "gzip"}
    status, _, answer = infer(shared_server, "echo", gzip.compress(body), headers)
    assert (status, answer["outputs"][0]["data"]) == (200, [1, 2])


def test_body_without_json_is_the_only_input_that_the_model_declares(shared_server):
    headers = {"Inference-Header-Content-Length": "0", "X-Request-ID": "mine"}
    body = struct.pack("<4d", 1, 2, 3, 4.5)
    status, got, answer = call(shared_server, "POST", "/v2/models/sum/infer", body, headers)
    length = int(got["Inference-Header-Content-Length"])
    assert status == 200
    assert json.loads(answer[:length])["id"] == "mine"
    assert answer[length:] == struct.pack("<d", 10.5)
    status, _, answer = infer(shared_server, "echo", body, headers)
    assert (status, "its metadata has 0 inputs" in answer["error"]) == (400, True)
    assert infer(shared_server, "nope", body, headers)[0] == 404


def test_sync_predict_answers_with_version_and_codec(shared_server):
    _, _, body = infer(shared_server, "sum", {"id": "1", "inputs": [FP32]})
    assert body == {
        "model_name": "sum",
        "model_version": "v1",
        "id": "1",
        "parameters": {},
        "outputs": [
            {
                "name": "total",
                "shape": [1, 1],
                "datatype": "FP64",
                "parameters": {"content_type": "np"},
                "data": [10.5],
            }
        ],
    }


def test_newest_version_is_the_default_and_others_are_reached_by_path(shared_server):
    body = {"inputs": [FP32]}
    assert infer(shared_server, "versioned", body)[2]["model_version"] == "v10"
    assert infer(shared_server, "versioned/versions/v2", body)[2]["model_version"] == "v2"
    status, _, answer = infer(shared_server, "versioned/versions/v3", body)
    assert (status, answer) == (404, {"error": "Model versioned with version v3 not found"})


def test_runtime_sees_request_headers_and_events_but_not_those_of_the_body(shared_server):
    body = {"id": "7", "inputs": [], "parameters": {"headers": {"x-forged": "1"}}}
    _, _, answer = infer(shared_server, "headers", body, {"X-Tenant": "blue"})
    got = json.loads(answer["outputs"][0]["data"][0])
    assert got["x-tenant"] == "blue"
    assert "x-forged" not in got
    assert got["Ce-Type"] == "io.seldon.serving.inference.request"
    assert got["Ce-Id"] == got["Ce-Requestid"] == "7"


def test_runtimes_headers_go_out_as_headers_but_for_those_that_frame_the_answer(shared_server):
    _, headers, body = infer(shared_server, "headers", {"id": "7", "inputs": []})
    assert headers["X-From"] == "headers"
    assert "X-Bad" not in headers
    assert "b" not in headers
    assert headers.get("Connection") != "close"
    assert body["parameters"] == {"kept": True}
    assert {name: value for name, value in headers.items() if name.startswith("Ce-")} == {
        "Ce-Specversion": "0.3",
        "Ce-Source": "io.seldon.serving.deployment.mlserver",
        "Ce-Type": "io.seldon.serving.inference.response",
        "Ce-Modelid": "headers",
        "Ce-Inferenceservicename": "mlserver",
        "Ce-Endpoint": "headers",
        "Ce-Id": "7",
        "Ce-Requestid": "7",
    }


@pytest.mark.parametrize(
    ("how", "status", "text"),
    [
        ("value_error", 500, "ValueError: no such file: weights.bin, sorry"),
        ("teapot", 418, "I am a teapot"),
        ("refused", 400, "not this one"),
        ("exits", 500, "SystemExit: 3"),
        ("cancels", 500, "CancelledError: the runtime cancelled its own work"),
        (
            "nothing",
            500,
            "Model 'faulty' gave no answer: predict() must return an InferenceResponse, "
            "got NoneType",
        ),
        (
            "not_utf8",
            500,
            "the answer cannot be sent as JSON: an output holds bytes that are not UTF-8 text; "
            "encode it with the content type base64, or ask over gRPC",
        ),
    ],
)
def test_failure_of_the_runtime_is_its_text_and_no_traceback(shared_server, how, status, text):
    if how == "cancels" and not hasattr(__import__("asyncio").Task, "cancelling"):
        pytest.skip("Python 3.10 cannot tell a runtime's CancelledError from a real one")
    tensor = {"name": how, "shape": [1], "datatype": "INT8", "data": [1]}
    got, _, body = infer(shared_server, "faulty", {"inputs": [tensor]})
    assert (got, body) == (status, {"error": text})


def test_gzip_body_is_read_and_a_bomb_is_refused(serve, models_folder):
    server = serve(models_folder, "--set", "max_body_size=100000")
    packed = gzip.compress(json.dumps({"inputs": [FP32]}).encode())
    status, _, _ = infer(server, "echo", packed, {"Content-Encoding": "gzip"})
    assert status == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    status, _, body = infer(server, "echo", bomb, {"Content-Encoding": "gzip"})
    assert status == 413
    status, _, body = infer(server, "echo", b" " * 100_001)
    assert (status, body) == (
        413,
        {"error": "the request body is larger than max_body_size (100000 bytes)"},
    )


def test_broken_gzip_body_is_a_400(shared_server):
    status, _, body = infer(shared_server, "echo", b"\x1f\x8bxx", {"Content-Encoding": "gzip"})
    assert status == 400
    assert list(body) == ["error"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v2 HTTP/9.9\r\nbad header\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http_get_an_error_of_the_same_shape(shared_server, sent):
    with socket.create_connection(("127.0.0.1", shared_server.http_port), timeout=30) as client:
        client.sendall(sent)
        answer = b""
        while received := client.recv(65536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"application/json" in head
    assert json.loads(body) == {"error": "the request cannot be read as HTTP"}


def test_urllib_gets_an_http_error_it_understands(shared_server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{shared_server.url}/v2/models/nope", timeout=30)
    with caught.value as error:
        assert error.code == 404
        assert json.load(error) == {"error": "Model nope not found"}
