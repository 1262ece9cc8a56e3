"""Reading requests, one per line."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.cli.inference import lines
from mlserver_core.cli.inference.lines import read_line, read_lines

REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]}


async def read_all(descriptor):
    return [line async for together in read_lines(descriptor) for line in together]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK", 7)


async def read_file(path, content):
    path.write_bytes(content)
    with path.open("rb") as file:
        return await read_all(file.fileno())


@pytest.mark.parametrize("ending", [b"", b"\n"])
async def test_every_line_is_read_whatever_the_size_of_a_read(tmp_path, small_chunks, ending):
    texts = [json.dumps({**REQUEST, "id": "i" * length}).encode() for length in range(9)]
    got = await read_file(tmp_path / "in", b"\n".join(texts) + ending)
    assert [line.index for line in got] == list(range(9))
    assert [line.request.id for line in got] == ["i" * length for length in range(9)]
    assert sum(line.size for line in got) == sum(map(len, texts)) + 9


async def test_an_empty_input_has_no_lines(tmp_path):
    assert await read_file(tmp_path / "in", b"") == []


async def test_empty_lines_are_kept_as_lines(tmp_path):
    first, empty, last = await read_file(
        tmp_path / "in", json.dumps(REQUEST).encode() + b"\n \r\n" + json.dumps(REQUEST).encode()
    )
    assert (first.index, empty.index, last.index) == (0, 1, 2)
    assert (empty.request, empty.problem) == (None, "")
    assert last.request.inputs[0].data == [1.5]


async def test_lines_of_a_pipe_come_before_it_is_closed():
    reading, writing = os.pipe()
    try:
        together = read_lines(reading)
        for index in range(2):
            os.write(writing, json.dumps(REQUEST).encode() + b"\n")
            (line,) = await anext(together)
            assert line.index == index
        os.close(writing)
        assert [each async for each in together] == []
    finally:
        os.close(reading)


async def test_an_input_that_cannot_be_read_says_so(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            await read_all(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"nojson", "the line is not valid JSON: "),
        (b"\xff", "the line is not valid JSON: "),
        (b"[]", "the line is no inference request: expected an object, got a list"),
        (b"{}", "the line is no inference request: inputs: required, but missing"),
        (b'{"id": 1, "inputs": []}', "id: expected a string, got 1"),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP1", "data": []}]}', "datatype"),
    ],
)
def test_a_line_that_is_no_request_says_why(text, problem):
    line = read_line(3, text)
    assert line.request is None
    assert line.index == 3
    assert problem in line.problem


@given(st.binary())
def test_no_line_raises(text):
    line = read_line(0, text.replace(b"\n", b""))
    assert line.request is None or not line.problem


def test_a_request_keeps_its_id_or_gets_one_of_its_own():
    text = json.dumps(REQUEST).encode()
    assert read_line(0, json.dumps({**REQUEST, "id": "a"}).encode()).asked.id == "a"
    ids = {read_line(index, text).asked.id for index in range(3)}
    assert len(ids) == 3
    assert all(ids)
