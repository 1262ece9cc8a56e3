"""``mlserver infer`` as a process, against servers that run."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import sys
from pathlib import Path

import attrs
import pytest
from aiohttp import web
from click.testing import CliRunner

from mlserver_core.cli.infer import infer

LONG = 40
#: The options of MLServer's command, and the variables that stand for them.
OPTIONS = {
    "--url": ("-u", "URL"),
    "--model-name": ("-m", "MODEL_NAME"),
    "--input-data-path": ("-i", "INPUT_DATA_PATH"),
    "--output-data-path": ("-o", "OUTPUT_DATA_PATH"),
    "--workers": ("-w", "WORKERS"),
    "--retries": ("-r", "RETRIES"),
    "--batch-size": ("-s", "BATCH_SIZE"),
    "--binary-data": ("-b", "BINARY_DATA"),
    "--verbose": ("-v", "VERBOSE"),
    "--extra-verbose": ("-vv", "EXTRA_VERBOSE"),
    "--transport": ("-t", "TRANSPORT"),
    "--request-headers": ("-H", "REQUEST_HEADERS"),
    "--timeout": (None, "CONNECTION_TIMEOUT"),
    "--batch-interval": (None, "BATCH_INTERVAL"),
    "--batch-jitter": (None, "BATCH_JITTER"),
    "--use-ssl": (None, "USE_SSL"),
    "--insecure": (None, "INSECURE"),
    "--unordered": (None, "UNORDERED"),
    "--model-version": (None, "MODEL_VERSION"),
}
PICKY = """
    from mlserver_core import MLModel
    from mlserver_core.errors import MLServerError
    from mlserver_core.types import InferenceResponse, ResponseOutput

    class Model(MLModel):
        async def predict(self, payload):
            rows = payload.inputs[0]
            self.calls = getattr(self, "calls", 0) + 1
            if 13 in rows.data:
                raise MLServerError("no thirteens", 400)
            if 14 in rows.data:
                raise ValueError("fourteen")
            outputs = [
                ResponseOutput(name="x", shape=rows.shape, datatype="FP64", data=rows.data),
                ResponseOutput(
                    name="calls", shape=[rows.shape[0]], datatype="INT64",
                    data=[self.calls] * rows.shape[0],
                ),
            ]
            return InferenceResponse(outputs=outputs)
"""


def request(value, rows=1, **more):
    tensor = {"name": "x", "shape": [rows, 1], "datatype": "FP64", "data": [value] * rows}
    return {"inputs": [tensor], **more}


def to_text(lines):
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    return "".join(f"{text}\n" for text in texts)


def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def data(results):
    """The elements of each answer's first output; None for an error."""
    return [each["outputs"][0]["data"] if "outputs" in each else None for each in results]


def indexes(results):
    return [each["parameters"]["batch_index"] for each in results]


@attrs.frozen
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str
    file: Path

    @property
    def results(self):
        return parse(self.file.read_text(encoding="utf-8"))


@pytest.fixture
async def start_infer(tmp_path):
    """Starts the command with pipes."""
    started = []

    async def start(*arguments, stderr=asyncio.subprocess.PIPE, **environ):
        clean = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mlserver_core.cli.main", "infer", *map(str, arguments)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            cwd=tmp_path,
            env={**clean, **environ},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def run_infer(tmp_path, start_infer):
    """Runs the command to its end: lines in, results in a file."""

    async def run(lines, *arguments, source="in.jsonl", target="out.jsonl", **environ):
        if source == "in.jsonl":
            (tmp_path / source).write_text(to_text(lines), encoding="utf-8")
        files = ["-i", source, "-o", target] if source else []
        process = await start_infer(*files, *arguments, **environ)
        given = to_text(lines).encode() if source == "-" else None
        out, err = await asyncio.wait_for(process.communicate(given), LONG)
        return Ended(process.returncode, out.decode(), err.decode(), tmp_path / "out.jsonl")

    return run


@pytest.fixture
async def serve_handler():
    """Serves a handler on every path; returns the address."""
    runners = []

    async def serve_one(handler, ssl_context=None):
        app = web.Application()
        app.router.add_post("/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        return "{}:{}".format(*runner.addresses[0])

    yield serve_one
    for runner in runners:
        await runner.cleanup()


def echo(body):
    outputs = [{**each, "name": each["name"]} for each in body["inputs"]]
    return web.json_response({"model_name": "m", "id": body["id"], "outputs": outputs})


@pytest.fixture
def to_server(shared_server):
    """The options that lead to the shared server."""

    def options(transport="rest"):
        rest = f"127.0.0.1:{shared_server.http_port}"
        url = rest if transport == "rest" else shared_server.grpc_address
        return ["-t", transport, "-u", url]

    return options


HOW = [
    [],
    ["-s", "7"],
    ["-t", "grpc"],
    ["-t", "grpc", "-s", "7"],
    ["-t", "grpc", "-b"],
    ["-t", "grpc", "-b", "-s", "7"],
]


@pytest.mark.parametrize("how", HOW, ids=" ".join)
async def test_every_line_is_answered_in_order(run_infer, to_server, how):
    lines = [request(index, 1 + index % 3, id=f"id-{index}") for index in range(300)]
    transport = "grpc" if "grpc" in how else "rest"
    ended = await run_infer(lines, "-m", "echo", *to_server(transport), *how)
    assert (ended.code, ended.out) == (0, "")
    assert data(ended.results) == [[index] * (1 + index % 3) for index in range(300)]
    assert indexes(ended.results) == list(range(300))
    assert [each["id"] for each in ended.results] == [f"id-{index}" for index in range(300)]
    assert all(each["parameters"]["inference_id"] for each in ended.results)
    assert ended.err.startswith("answered 300, failed 0, ")
    assert ended.err.endswith(" lines per second\n")


@pytest.mark.parametrize("how", HOW[:4], ids=" ".join)
async def test_a_bad_line_costs_only_its_own_answer(run_infer, to_server, how):
    lines = [request(0), "nojson", request(2), '{"inputs": 1}', request(4)]
    transport = "grpc" if "grpc" in how else "rest"
    ended = await run_infer(lines, "-m", "echo", *to_server(transport), *how)
    assert ended.code == 1
    assert data(ended.results) == [[0], None, [2], None, [4]]
    assert ended.results[1]["parameters"] == {"batch_index": 1}
    for index, text in ((1, "valid JSON"), (3, "inputs: expected a list, got 1")):
        assert ended.results[index]["error"]["status"] == "preprocessing error"
        assert text in ended.results[index]["error"]["msg"]
    assert ended.err.startswith("answered 3, failed 2, ")


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_a_failed_inference_is_called_an_inference_error(run_infer, to_server, transport):
    lines = [{"inputs": [{"name": "refused", "shape": [0], "datatype": "FP64", "data": []}]}]
    ended = await run_infer(lines, "-m", "faulty", *to_server(transport))
    assert ended.code == 1
    assert ended.results[0]["error"] == {
        "status": "inference error",
        "msg": {"rest": "400: not this one", "grpc": "INVALID_ARGUMENT: not this one"}[transport],
    }


async def test_an_empty_line_keeps_its_index_and_has_no_result(run_infer, to_server):
    ended = await run_infer(["", request(1), "  ", request(3)], "-m", "echo", *to_server())
    assert ended.code == 0
    assert indexes(ended.results) == [1, 3]


async def test_an_empty_input_makes_an_empty_output(run_infer, to_server):
    ended = await run_infer([], "-m", "echo", *to_server())
    assert (ended.code, ended.results) == (0, [])


@pytest.mark.parametrize("size", ["1", "3"])
async def test_lines_with_the_same_id_all_have_their_answer(run_infer, to_server, size):
    lines = [request(index, id="same") for index in range(3)]
    ended = await run_infer(lines, "-m", "echo", "-s", size, *to_server())
    assert data(ended.results) == [[0], [1], [2]]
    assert {each["id"] for each in ended.results} == {"same"}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_header_values_keep_their_colons(run_infer, to_server, transport):
    lines = [{"inputs": []}] * 2
    headers = ["-H", "X-Url: http://host:1/a", "-H", "X-Time:12:30"]
    ended = await run_infer(lines, "-m", "headers", *headers, *to_server(transport))
    assert ended.code == 0
    got = [json.loads(texts[0]) for texts in data(ended.results)]
    for each, result in zip(got, ended.results, strict=True):
        assert (each["x-url"], each["x-time"]) == ("http://host:1/a", "12:30")
        assert each["x-request-id"] == result["parameters"]["inference_id"]
        assert each["seldon-puid"] == each["x-request-id"]
    assert got[0]["x-request-id"] != got[1]["x-request-id"]


async def test_lines_that_were_merged_are_split_by_rows_not_by_requests(run_infer, to_server):
    rows = [3, 1, 2]
    lines = [request(index, count) for index, count in enumerate(rows)]
    ended = await run_infer(lines, "-m", "sum", "-s", "3", *to_server())
    assert data(ended.results) == [[index] * count for index, count in enumerate(rows)]
    assert [each["outputs"][0]["shape"] for each in ended.results] == [[3, 1], [1, 1], [2, 1]]
    assert len({each["parameters"]["inference_id"] for each in ended.results}) == 1


@pytest.mark.parametrize("how", HOW[1:4:2], ids=" ".join)
@pytest.mark.parametrize("culprit", [13, 14])
async def test_only_the_culprit_of_merged_lines_fails(
    run_infer, serve, model, tmp_path, how, culprit
):
    model("m", PICKY)
    server = serve(tmp_path / "models")
    url = server.grpc_address if "grpc" in how else f"127.0.0.1:{server.http_port}"
    lines = [request(value) for value in (1, 2, culprit, 3)]
    ended = await run_infer(lines, "-m", "m", "-u", url, *how)
    assert data(ended.results) == [[1], [2], None, [3]]
    assert [each["outputs"][1]["data"] for each in ended.results if "outputs" in each] == [
        [2],
        [3],
        [5],
    ]


@pytest.mark.parametrize("transport", ["rest", "grpc"])
@pytest.mark.parametrize(("version", "served"), [([], "v10"), (["--model-version", "v2"], "v2")])
async def test_a_version_can_be_asked_for(run_infer, to_server, transport, version, served):
    ended = await run_infer([request(1)], "-m", "versioned", *version, *to_server(transport))
    assert ended.results[0]["model_version"] == served


async def test_an_unknown_model_is_an_error_of_each_line(run_infer, to_server):
    ended = await run_infer([request(1)] * 2, "-m", "nobody", *to_server())
    assert ended.code == 1
    assert {each["error"]["msg"] for each in ended.results} == {"404: Model nobody not found"}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_a_dead_server_is_an_error_of_each_line(run_infer, transport):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"127.0.0.1:{taken.getsockname()[1]}"
        lines = [request(index) for index in range(30)]
        ended = await run_infer(lines, "-m", "m", "-u", url, "-t", transport, "-r", "1", "-v")
    assert ended.code == 1
    assert indexes(ended.results) == list(range(30))
    for each in ended.results:
        assert each["error"]["status"] == "inference error"
        assert each["error"]["msg"].startswith("no connection: ")
    assert ended.err.count("trying again") == 30
    assert "Traceback" not in ended.err


async def test_a_flaky_server_is_asked_again_when_it_says(run_infer, serve_handler):
    loop, times = asyncio.get_running_loop(), {}

    async def answer(asked):
        body = await asked.json()
        tries = times.setdefault(body["id"], [])
        tries.append((loop.time(), asked.headers["x-request-id"]))
        if len(tries) == 1:
            return web.json_response({"error": "busy"}, status=503, headers={"Retry-After": "1.2"})
        return echo(body)

    url = await serve_handler(answer)
    ended = await run_infer([request(1, id="a"), request(2)], "-m", "m", "-u", url)
    assert ended.code == 0
    assert data(ended.results) == [[1], [2]]
    assert len(times) == 2
    for (first, first_id), (second, second_id) in times.values():
        assert second - first >= 1.2
        assert first_id == second_id


async def test_a_request_that_was_refused_is_not_sent_again(run_infer, serve_handler):
    calls = []

    async def answer(asked):
        calls.append(await asked.json())
        return web.json_response({"error": "no"}, status=422)

    ended = await run_infer([request(1)] * 3, "-m", "m", "-u", await serve_handler(answer))
    assert (ended.code, len(calls)) == (1, 3)


@pytest.mark.parametrize("transport", ["rest", "grpc"])
async def test_a_server_that_vanishes_and_comes_back_is_asked_again(
    start_infer, serve, models_folder, transport
):
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in (one, other)]
    arguments = ["--http-port", ports[0], "--grpc-port", ports[1]]
    server = serve(models_folder / "echo", *arguments)
    url = f"127.0.0.1:{ports[transport == 'grpc']}"
    process = await start_infer(
        *("-m", "echo", "-i", "-", "-o", "-", "-u", url, "-t", transport, "-r", "20", "-v")
    )
    process.stdin.write(to_text([request(1)]).encode())
    first = await process.stdout.readline()
    server.process.kill()
    server.wait()
    process.stdin.write(to_text([request(2)]).encode())
    assert b"trying again" in await process.stderr.readline()
    serve(models_folder / "echo", *arguments)
    rest, _ = await asyncio.wait_for(process.communicate(b""), LONG)
    assert data(parse((first + rest).decode())) == [[1], [2]]
    assert process.returncode == 0


@attrs.frozen
class Stuck:
    """A command of which lines 2 and 4 wait for ever, while 0, 1 and 3 are answered."""

    process: asyncio.subprocess.Process
    file: Path

    @property
    def indexes(self):
        return sorted(indexes(parse(self.file.read_text(encoding="utf-8"))))


@pytest.fixture
def get_stuck(start_infer, serve_handler, tmp_path):
    async def get(*arguments):
        both = asyncio.Queue()

        async def answer(asked):
            body = await asked.json()
            if body["inputs"][0]["data"][0] in (2, 4):
                both.put_nowait(body)
                await asyncio.Event().wait()
            return echo(body)

        url = await serve_handler(answer)
        process = await start_infer(
            *("-m", "m", "-i", "-", "-o", "out.jsonl", "-u", url, "-w", "2", *arguments)
        )
        process.stdin.write(to_text(request(index) for index in range(5)).encode())
        # With two workers, the call for line 4 begins when the answer for line 3 is taken.
        await both.get()
        await both.get()
        return Stuck(process, tmp_path / "out.jsonl")

    return get


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_cleanly_and_keeps_what_was_answered(get_stuck, number):
    stuck = await get_stuck()
    assert stuck.indexes == [0, 1]
    stuck.process.send_signal(number)
    _, err = await asyncio.wait_for(stuck.process.communicate(b""), LONG)
    assert stuck.process.returncode == 1
    assert stuck.indexes == [0, 1, 3]
    assert f"; stopped by {number.name}" in err.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize(("how", "kept"), [((), [0, 1]), (("--unordered",), [0, 1, 3])])
async def test_a_crash_loses_nothing_that_was_written(get_stuck, how, kept):
    stuck = await get_stuck(*how)
    assert stuck.indexes == kept
    stuck.process.kill()
    await stuck.process.communicate()
    assert stuck.indexes == kept


@pytest.mark.parametrize("how", [(), ("--unordered",)])
async def test_answers_come_in_order_unless_any_order_will_do(run_infer, serve_handler, how):
    others = asyncio.Event()

    async def answer(asked):
        body = await asked.json()
        if body["id"] == "0":
            await others.wait()
        if body["id"] == "9":
            others.set()
        return echo(body)

    lines = [request(index, id=str(index)) for index in range(10)]
    ended = await run_infer(lines, "-m", "m", "-w", "2", "-u", await serve_handler(answer), *how)
    assert ended.code == 0
    assert sorted(indexes(ended.results)) == list(range(10))
    assert (indexes(ended.results) == list(range(10))) is (not how)


async def test_a_pipe_is_answered_line_by_line(start_infer, to_server):
    process = await start_infer("-m", "echo", "-i", "-", "-o", "-", "-s", "5", *to_server())
    for index in range(3):
        process.stdin.write(to_text([request(index)]).encode())
        line = await asyncio.wait_for(process.stdout.readline(), LONG)
        assert data(parse(line.decode())) == [[index]]
    _, err = await asyncio.wait_for(process.communicate(b""), LONG)
    assert process.returncode == 0
    assert err.decode().startswith("answered 3, ")


async def test_a_reader_that_leaves_ends_the_run(start_infer, to_server):
    process = await start_infer("-m", "echo", "-i", "-", "-o", "-", *to_server())
    process.stdin.write(to_text([request(0)]).encode())
    await process.stdout.readline()
    process.stdout._transport.close()
    process.stdin.write(to_text([request(1)]).encode())
    err = await asyncio.wait_for(process.stderr.read(), LONG)
    assert await process.wait() == 1
    assert "stopped: " in err.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_disk_ends_the_run(run_infer, to_server):
    ended = await run_infer([request(1)], "-m", "echo", *to_server(), target="/dev/full")
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert "Traceback" not in ended.err


async def test_the_input_is_not_overwritten(run_infer, tmp_path):
    ended = await run_infer([request(1)], "-m", "m", target="./in.jsonl")
    assert ended.code == 2
    assert "is the input" in ended.err
    assert parse((tmp_path / "in.jsonl").read_text()) == [request(1)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-m", "m", "-i", "nowhere"], "nowhere"),
        (["-m", "m", "-o", "no/such/folder/out"], "cannot be written: No such file"),
        (["-m", "m", "-t", "smoke"], "smoke"),
        (["-m", "m", "-w", "0"], "--workers"),
        (["-m", "m", "-s", "0"], "--batch-size"),
        (["-m", "m", "-r", "-1"], "--retries"),
        (["-m", "m", "--timeout", "0"], "--timeout"),
        (["-m", "m", "-H", "nocolon"], "expected a header as 'NAME: VALUE', got 'nocolon'"),
        (["-m", "m", "-H", "te: a", "-t", "grpc"], "header 'te' cannot be sent over gRPC"),
        (["-m", "m", "-u", "host:port"], "'host:port' is no URL"),
        (["-m", "m", "-u", "host", "-t", "grpc"], "expected HOST:PORT as URL for gRPC"),
        ([], "--model-name"),
    ],
)
async def test_a_wrong_option_is_said_before_anything_happens(run_infer, tmp_path, arguments, text):
    (tmp_path / "out.jsonl").write_text("kept")
    ended = await run_infer([request(1)], *arguments)
    assert ended.code == 2
    assert text in ended.err
    assert "Traceback" not in ended.err
    assert ended.file.read_text() == "kept"


def test_options_and_variables_are_those_of_mlserver():
    known = {
        next(name for name in each.opts if name.startswith("--")): each for each in infer.params
    }
    assert set(known) == set(OPTIONS)
    for long, (short, variable) in OPTIONS.items():
        assert known[long].opts == [long, *([short] if short else [])]
        assert known[long].envvar == f"MLSERVER_INFER_{variable}"


def test_the_help_explains_every_option():
    shown = CliRunner().invoke(infer, ["--help"])
    assert shown.exit_code == 0
    for long, (_, variable) in OPTIONS.items():
        assert long in shown.output
        assert f"MLSERVER_INFER_{variable}" in shown.output.replace("\n", "")


async def test_everything_can_be_said_in_the_environment(run_infer, to_server, tmp_path):
    (tmp_path / "mine.jsonl").write_text(to_text([{"inputs": []}]))
    ended = await run_infer(
        [],
        source=None,
        MLSERVER_INFER_URL=to_server("grpc")[-1],
        MLSERVER_INFER_TRANSPORT="grpc",
        MLSERVER_INFER_MODEL_NAME="headers",
        MLSERVER_INFER_INPUT_DATA_PATH="mine.jsonl",
        MLSERVER_INFER_OUTPUT_DATA_PATH="out.jsonl",
        MLSERVER_INFER_REQUEST_HEADERS="X-A: b c: d\nX-E: f",
        MLSERVER_INFER_EXTRA_VERBOSE="true",
        MLSERVER_INFER_CONNECTION_TIMEOUT="30",
    )
    assert ended.code == 0, ended.err
    got = json.loads(data(ended.results)[0][0])
    assert (got["x-a"], got["x-e"]) == ("b c: d", "f")
    assert "DEBUG" in ended.err


async def look(start_infer, tmp_path, *arguments):
    """What a terminal shows of a run."""
    (tmp_path / "in.jsonl").write_text(to_text([request(index) for index in range(20)]))
    master, slave = pty.openpty()
    try:
        process = await start_infer(
            *("-i", "in.jsonl", "-o", "out.jsonl", *arguments),
            stderr=slave,
            TERM="xterm-256color",
            COLUMNS="120",
        )
    finally:
        os.close(slave)

    def read():
        shown = b""
        try:
            while some := os.read(master, 4096):
                shown += some
        except OSError:  # Linux says so at the end
            pass
        return shown.decode()

    shown = await asyncio.get_running_loop().run_in_executor(None, read)
    os.close(master)
    assert await process.wait() == 0
    return shown


async def test_a_terminal_shows_a_progress_bar(start_infer, to_server, tmp_path):
    shown = await look(start_infer, tmp_path, "-m", "echo", *to_server())
    assert "20 answered, 0 failed" in shown
    assert "\x1b[" in shown
    assert "answered 20, failed 0, " in shown


async def test_whoever_wants_words_gets_no_bar(start_infer, to_server, tmp_path):
    shown = await look(start_infer, tmp_path, "-m", "echo", "-vv", *to_server())
    assert "20 answered" not in shown
    assert shown.count("DEBUG Call ") == 20


async def test_tls_is_spoken_and_verified_unless_told_otherwise(
    run_infer, serve_handler, certificate
):
    async def answer(asked):
        return echo(await asked.json())

    context, file = certificate
    arguments = ["-m", "m", "-u", await serve_handler(answer, context), "--use-ssl"]
    refused = await run_infer([request(1)], *arguments)
    assert refused.code == 1
    assert refused.results[0]["error"]["msg"].startswith("no secure connection: ")
    for how, environ in ((["--insecure"], {}), ([], {"SSL_CERT_FILE": str(file)})):
        ended = await run_infer([request(1)], *arguments, *how, **environ)
        assert data(ended.results) == [[1]]


async def test_binary_tensors_go_to_our_own_server(run_infer, to_server):
    pytest.importorskip(
        "mlserver_core.wire.binary", reason="the server does not read binary tensors yet"
    )
    words = {"name": "t", "shape": [2, 1], "datatype": "BYTES", "data": ["a", "ü"]}
    lines = [{**request(index, 2)} for index in range(20)] + [{"inputs": [words]}]
    for size in ("1", "7"):
        ended = await run_infer(lines, "-m", "echo", "-b", "-s", size, *to_server())
        assert ended.code == 0, ended.results[-1]
        assert data(ended.results) == [[index] * 2 for index in range(20)] + [["a", "ü"]]


def test_the_page_of_commands_has_every_option():
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    table = page.partition("## mlserver infer")[2].partition("\n## ")[0]
    for long, (short, _) in OPTIONS.items():
        assert f"`{long}`" in table
        assert short is None or f"| `{short}`, " in table
