"""One run with a client whose answers the test makes."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from mlserver_core.cli.inference.batch import Batch, count_places
from mlserver_core.cli.inference.client import CallFailed
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceResponse


def request(value, rows=1, **more):
    tensor = {"name": "x", "shape": [rows, 1], "datatype": "FP64", "data": [value] * rows}
    return json.dumps({"id": f"id-{value}", "inputs": [tensor], **more})


def written(results):
    return [json.loads(text) for text in results.file.getvalue().splitlines()]


@pytest.fixture
def run(parts):
    """Runs lines through a client; returns the client and what was written."""

    async def run_lines(texts, answer, **options):
        client, results = parts.client(answer), parts.results()
        await Batch(parts.options(**options), client, results).run(parts.chunks_of(texts))
        return client, written(results)

    return run_lines


async def test_every_line_has_its_answer_in_order(run, parts):
    _, got = await run([request(index) for index in range(50)], parts.echo, workers=7)
    assert [each["id"] for each in got] == [f"id-{index}" for index in range(50)]
    assert [each["outputs"][0]["data"] for each in got] == [[index] for index in range(50)]


async def test_empty_lines_hold_up_no_answer_and_bad_ones_fail(run, parts):
    _, got = await run(["", request(1), "nojson", " ", request(4)], parts.echo)
    assert [each["parameters"]["batch_index"] for each in got] == [1, 2, 4]
    assert got[1]["error"]["status"] == "preprocessing error"


async def test_agreeing_lines_are_merged_and_split_by_rows_not_by_requests(run, parts):
    rows = [1, 3, 2, 1]
    texts = [request(index, count) for index, count in enumerate(rows)]
    client, got = await run(texts, parts.echo, batch_size=4, workers=1)
    assert [each.inputs[0].shape for each in client.requests] == [[7, 1]]
    data = [each["outputs"][0]["data"] for each in got]
    assert data == [[index] * count for index, count in enumerate(rows)]
    assert [each["id"] for each in got] == ["id-0", "id-1", "id-2", "id-3"]
    assert len({each["parameters"]["inference_id"] for each in got}) == 1


async def test_no_more_lines_than_the_batch_size_are_merged(run, parts):
    client, _ = await run([request(0)] * 10, parts.echo, batch_size=4, workers=1)
    assert [each.inputs[0].shape[0] for each in client.requests] == [4, 4, 2]


async def test_what_does_not_agree_goes_alone(run, parts):
    texts = [request(0), request(1, parameters={"a": 1}), request(2)]
    client, got = await run(texts, parts.echo, batch_size=3, workers=1)
    assert [each.inputs[0].shape[0] for each in client.requests] == [2, 1]
    assert [each["outputs"][0]["data"] for each in got] == [[0], [1], [2]]


async def test_only_the_culprit_of_a_refused_merge_fails(run, parts):
    async def answer(asked):
        if 2 in asked.inputs[0].data:
            raise CallFailed("400: no twos", may_split=True)
        return await parts.echo(asked)

    client, got = await run([request(index) for index in range(4)], answer, batch_size=4, workers=1)
    assert ["error" in each for each in got] == [False, False, True, False]
    assert got[2]["error"] == {"status": "inference error", "msg": "400: no twos"}
    assert len(client.requests) == 5


async def test_lines_go_alone_when_the_answer_has_other_rows(run, parts):
    async def answer(asked):
        output = {
            "name": "y",
            "shape": [1],
            "datatype": "INT64",
            "data": [asked.inputs[0].shape[0]],
        }
        return InferenceResponse(id=asked.id, outputs=[output])

    client, got = await run([request(0), request(1)], answer, batch_size=2, workers=1)
    assert [each.inputs[0].shape[0] for each in client.requests] == [2, 1, 1]
    assert [each["outputs"][0]["data"] for each in got] == [[1], [1]]


async def test_a_merge_that_the_server_could_not_see_fails_as_a_whole(run):
    async def answer(asked):
        raise CallFailed("no connection", may_retry=True)

    client, got = await run([request(0), request(1)], answer, batch_size=2, workers=1, retries=0)
    assert len(client.requests) == 1
    assert [each["error"]["msg"] for each in got] == ["no connection"] * 2


async def test_a_request_that_cannot_be_sent_is_a_fault_of_its_line(run, parts):
    async def answer(asked):
        if 1 in asked.inputs[0].data:
            raise InvalidRequest("parameters.a: no")
        return await parts.echo(asked)

    _, got = await run([request(0), request(1)], answer, batch_size=2)
    assert got[1]["error"] == {
        "status": "preprocessing error",
        "msg": "the request cannot be sent: parameters.a: no",
    }
    assert got[0]["outputs"][0]["data"] == [0]


async def test_lines_with_the_same_id_all_have_their_answer(run, parts):
    texts = [request(0).replace("id-0", "same"), request(1).replace("id-1", "same")]
    for size in (1, 2):
        _, got = await run(texts, parts.echo, batch_size=size)
        assert [each["outputs"][0]["data"] for each in got] == [[0], [1]]
        assert [each["id"] for each in got] == ["same", "same"]


async def test_each_call_has_an_id_of_its_own_that_the_answer_tells(run, parts):
    client, got = await run([request(0), request(0)], parts.echo)
    sent = {headers["x-request-id"] for headers in client.headers}
    assert len(sent) == 2
    assert {headers["seldon-puid"] for headers in client.headers} == sent
    assert {each["parameters"]["inference_id"] for each in got} == sent


@pytest.mark.parametrize("workers", [1, 3])
async def test_no_more_calls_than_workers_are_under_way(run, parts, workers):
    under_way, most = 0, 0

    async def answer(asked):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await parts.echo(asked)

    await run([request(index) for index in range(20)], answer, workers=workers)
    assert most == workers


async def settle():
    """Lets everything go on that does not wait for the test."""
    for _ in range(5000):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 3])
async def test_a_slow_call_holds_back_a_bounded_number_of_lines(parts, size):
    go_on, read = asyncio.Event(), 0

    async def answer(asked):
        if asked.id == "id-0" or 0 in asked.inputs[0].data:
            await go_on.wait()
        return await parts.echo(asked)

    async def chunks():
        nonlocal read
        async for lines in parts.chunks_of(*([request(index)] for index in range(2000))):
            read += 1
            yield lines

    options = parts.options(workers=2, batch_size=size, unordered=False)
    results = parts.results(places=count_places(options))
    running = asyncio.ensure_future(Batch(options, parts.client(answer), results).run(chunks()))
    await settle()
    # One more is in the hand of who waits for a place, and one chunk is read ahead.
    assert read <= count_places(options) + 2
    assert len(results._held) <= count_places(options)
    assert written(results) == []
    go_on.set()
    await running
    assert len(written(results)) == 2000


async def test_unordered_answers_do_not_wait_for_a_slow_call(parts):
    go_on = asyncio.Event()

    async def answer(asked):
        if asked.id == "id-0":
            await go_on.wait()
        return await parts.echo(asked)

    options = parts.options(workers=2)
    results = parts.results(is_ordered=False)
    texts = [request(index) for index in range(20)]
    batch = Batch(options, parts.client(answer), results)
    running = asyncio.ensure_future(batch.run(parts.chunks_of(texts)))
    await settle()
    assert [each["id"] for each in written(results)] == [f"id-{index}" for index in range(1, 20)]
    go_on.set()
    await running
    assert written(results)[-1]["id"] == "id-0"


async def test_what_ends_one_part_ends_all(parts):
    class Full:
        def write(self, text):
            raise OSError("full")

    async def never(asked):
        if asked.id == "id-0":
            raise CallFailed("no")
        await asyncio.Event().wait()

    results = parts.results(file=Full())
    batch = Batch(parts.options(workers=2), parts.client(never), results)
    with pytest.raises(OSError, match="full"):
        await batch.run(parts.chunks_of([request(index) for index in range(9)]))
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert others == set()


async def test_each_worker_waits_between_its_calls(parts, run):
    loop, times = asyncio.get_running_loop(), []

    async def answer(asked):
        times.append(loop.time())
        return await parts.echo(asked)

    await run([request(0)] * 3, answer, workers=1, batch_interval=0.05, batch_jitter=0.01)
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(times))
