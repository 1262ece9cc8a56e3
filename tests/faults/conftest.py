"""A server that is ill-treated under load, and what must be true of it all the same.

``Server`` knows the facts: the processes, what each has loaded, descriptors and shared memory.
``Traffic`` is a steady load of clients over REST and gRPC, and asks all the while for readiness.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import grpclib.client
import grpclib.exceptions
import pytest
from grpclib.const import Status
from typing_extensions import Self

from mlserver_core.grpc import client as grpc
from mlserver_core.grpc._generated import dataplane

#: Seconds after which something has gone wrong for certain.
LONG = 25
#: What the server knows of its workers it learns in its event loop, which does other things
#: too: so many answers in a row may be of before.
LAG = 3
CODE = (Path(__file__).parent / "misbehaving.py").read_text("utf-8")
#: The model whose plain functions run in threads, and the one whose coroutines run on the loop.
MODELS = {"threaded": "models.Threaded", "looped": "models.Looped"}
_OUTCOMES = {
    200: "ok",
    422: "quarantined",
    429: "overloaded",
    500: "failed",
    503: "unavailable",
    504: "late",
    Status.OK: "ok",
    Status.FAILED_PRECONDITION: "quarantined",
    Status.RESOURCE_EXHAUSTED: "overloaded",
    Status.INTERNAL: "failed",
    Status.UNAVAILABLE: "unavailable",
    Status.DEADLINE_EXCEEDED: "late",
}
#: Numbers that no two requests of a run share, so that an answer says whose it is.
_values = itertools.count(1)


def wait_until(what: Callable[[], Any], text: str = "") -> Any:
    """Waits for a fact, and returns it."""
    give_up = time.monotonic() + LONG
    while not (found := what()):
        assert time.monotonic() < give_up, f"it never came true: {text or what}"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Is there such a process, also a stopped one, and not only its exit code?

    Its threads end one by one, and until the last has ended its sockets are open.
    """
    states = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
    return any(state not in "ZX" for state in states)


def children(pid: int) -> set[int]:
    """The processes that a process has started and that live."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text().split())
    return {each for each in found if is_alive(each)}


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(each.readlink()))
    return found


def mapped_memory(pid: int) -> list[str]:
    """The shared memory of ours that a process maps."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in lines if "memfd:mlserver" in line]


def rest_body(how: str, value: float, id: str | None = None) -> dict[str, Any]:
    """A request with one row, which says what the model is to do."""
    tensor = {"name": how, "shape": [1, 1], "datatype": "FP64", "data": [value]}
    return {"id": id, "inputs": [tensor]} if id else {"inputs": [tensor]}


def grpc_message(model: str, how: str, value: float, id: str = "") -> Any:
    """The same as a message."""
    contents = grpc.InferTensorContents(fp64_contents=[value])
    tensor = grpc.ModelInferRequestInferInputTensor(
        name=how, shape=[1, 1], datatype="FP64", contents=contents
    )
    return grpc.ModelInferRequest(model_name=model, id=id, inputs=[tensor])


@attrs.frozen
class Answer:
    """What came of a request.

    Attributes:
        model: that was asked.
        outcome: a word that is the same for both transports.
        text: of the error; of an answer it is the process that gave it.
        retry_after: what an answer over REST says of it.
        number: that the settings of the model have which answered.
        value: that was sent.
    """

    model: str
    outcome: str
    text: str = ""
    retry_after: str | None = None
    number: int = 0
    value: float = 0.0


@attrs.define
class Server:
    """A started server, its models' folder and the facts.

    Attributes:
        process: the server.
        folder: of the models.
        workers: how many there should be.
        sent: how many requests were sent to each model.
    """

    process: Any
    folder: Path
    workers: int
    sent: collections.Counter[str] = attrs.field(factory=collections.Counter)
    _open: int = 0

    def __attrs_post_init__(self) -> None:
        wait_until(lambda: len(self.pids()) == self.workers, "as many workers as wanted")
        before = self._sockets()
        self.ready()  # with the first connection uvloop opens a descriptor that it keeps
        # Others may end as well: a process that ends while it starts closes its own.
        wait_until(lambda: self._sockets() <= before, "the end of that connection")
        self._open = len(descriptors(self.pid))

    def _sockets(self) -> set[str]:
        return {each for each in descriptors(self.pid) if each.startswith("socket:")}

    @property
    def pid(self) -> int:
        return self.process.process.pid

    @property
    def log(self) -> str:
        return "\n".join(self.process.lines)

    def pids(self) -> list[int]:
        """The workers, oldest first."""
        return sorted(children(self.pid))

    def able(self, model: str = "threaded") -> set[int]:
        """The processes that live and have loaded a model."""
        files = (self.folder / model).glob("loaded-*")
        return {pid for file in files if is_alive(pid := int(file.name.partition("-")[2]))}

    def file(self, name: str, model: str = "threaded") -> Path:
        """One of the files by which tests and models tell each other how far they are."""
        return self.folder / model / name

    def wait_for_file(self, name: str, model: str = "threaded") -> None:
        wait_until(self.file(name, model).exists, name)

    def ask(
        self,
        how: str = "double",
        model: str = "threaded",
        *,
        value: float | None = None,
        id: str | None = None,
    ) -> Answer:
        """Asks over REST."""
        value = next(_values) if value is None else value
        body = json.dumps(rest_body(how, value, id)).encode()
        status, headers, text = self.post(f"/v2/models/{model}/infer", body)
        self.sent[model] += 1
        return answer_of(model, value, status, text, headers.get("Retry-After"))

    def ask_binary(self, how: str, model: str, data: bytes) -> str:
        """Asks over REST with numbers as they are in memory, and returns the outcome."""
        tensor = {"name": how, "shape": [len(data) // 8, 1], "datatype": "FP64"}
        tensor["parameters"] = {"binary_data_size": len(data)}
        described = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        head = json.dumps(described).encode()
        named = {"Inference-Header-Content-Length": str(len(head))}
        status, _, _ = self.post(f"/v2/models/{model}/infer", head + data, **named)
        self.sent[model] += 1
        return _OUTCOMES.get(status, str(status))

    def post(self, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, str]:
        """Status, headers and text of an answer over REST."""
        url = self.process.url + path
        headers = {"Content-Type": "application/json", **headers}
        asked = urllib.request.Request(url, body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=LONG) as answer:
                return answer.status, answer.headers, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def in_thread(self, *arguments: Any, **options: Any) -> Asking:
        """Asks meanwhile."""
        return Asking(self, arguments, options)

    def ready(self, model: str | None = None) -> bool:
        """What it says of itself over REST."""
        path = f"models/{model}/ready" if model else "health/ready"
        try:
            with urllib.request.urlopen(f"{self.process.url}/v2/{path}", timeout=LONG) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def check_whole(self, *, ask: bool = True) -> None:
        """The server is as it was: ready, with its workers, and nothing is left of what was."""
        wait_until(self.ready, "the server is ready again")
        wait_until(lambda: len(self.pids()) == self.workers, "as many workers as wanted")
        for model in filter(lambda each: (self.folder / each).exists(), MODELS):
            wait_until(lambda model=model: len(self.able(model)) == self.workers, model)
            assert not ask or self.ask(model=model).outcome == "ok"
            self.check_metrics(model)
        wait_until(
            lambda: len(descriptors(self.pid)) <= self._open, f"descriptors {descriptors(self.pid)}"
        )
        assert not mapped_memory(self.pid)
        assert not [each for each in descriptors(self.pid) if "memfd" in each]

    def check_metrics(self, model: str) -> None:
        """Every request that was sent is counted, once."""

        def counted() -> float:
            scraped = self.process.scrape()
            names = "model_infer_request_success_total", "model_infer_request_failure_total"
            return sum(scraped.value(name, model=model, version="") or 0 for name in names)

        text = f"{self.sent[model]} requests to {model} counted, not {counted()}"
        wait_until(lambda: counted() == self.sent[model], text)

    def failures(self, model: str) -> float:
        """How many requests to a model have failed, or were left by their clients."""
        name = "model_infer_request_failure_total"
        return self.process.scrape().value(name, model=model, version="") or 0

    def check_gone(self, pids: set[int]) -> None:
        """Nothing is left of a server that has ended."""
        for pid in pids:
            wait_until(lambda pid=pid: not is_alive(pid), f"the end of process {pid}")
        assert not list(Path("/dev/shm").glob("*mlserver*"))

    def stop(self) -> None:
        """Ends a server that is well."""
        pids = {self.pid, *self.pids()}
        assert self.process.stop() == 0, self.log
        self.check_gone(pids)
        for sign in (
            "Exception in callback",
            "never retrieved",
            "never awaited",
            "failed\nTraceback",
        ):
            assert sign not in self.log, self.log


@attrs.define
class Asking:
    """A request that is under way."""

    server: Server
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    _found: list[Any] = attrs.field(factory=list, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def answer(self) -> Any:
        self._thread.join(LONG)
        assert self._found, f"no answer to {self.arguments} {self.options}"
        return self._found[0]

    def answered(self) -> bool:
        return bool(self._found)

    def _ask(self) -> None:
        with contextlib.suppress(OSError):  # of a server that has gone
            path = self.options.get("path")
            self._found.append(
                self.server.post(path) if path else self.server.ask(*self.arguments, **self.options)
            )


def answer_of(
    model: str, value: float, status: int, text: str, retry_after: str | None = None
) -> Answer:
    """An answer over REST; one that is another request's is an outcome of its own."""
    outcome = _OUTCOMES.get(status, str(status))
    if outcome != "ok":
        return Answer(model, outcome, text, retry_after)
    outputs = {each["name"]: each["data"] for each in json.loads(text)["outputs"]}
    right = outputs["y"] == [2 * value]
    outcome = "ok" if right else "another's"
    return Answer(model, outcome, str(outputs["pid"][0]), number=outputs["number"][0])


@attrs.frozen
class Sample:
    """What the server said of its readiness, and whether that could be."""

    what: str
    ready: bool
    able: bool


@attrs.define
class Traffic:
    """Clients that ask one request after the other, in a thread and a loop of their own.

    Attributes:
        server: whom.
        clients: how many for each model and transport.
        models: which.
        answers: what they got.
        samples: what the server said of its readiness, in order.
    """

    server: Server
    clients: int = 2
    models: tuple[str, ...] = tuple(MODELS)
    answers: list[Answer] = attrs.field(factory=list)
    samples: list[Sample] = attrs.field(factory=list)
    pending: collections.Counter[str] = attrs.field(factory=collections.Counter)
    failure: BaseException | None = None
    _ending: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread = attrs.field(init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.wait_for_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(LONG)
        assert not self._thread.is_alive(), f"no answer to {dict(self.pending)}"
        if self.failure is not None:
            raise self.failure

    def wait_for_answers(self, most: int = 20) -> None:
        """Until so many more have been answered."""
        before = self.count("ok")
        wait_until(lambda: self.failure or self.count("ok") >= before + most, "answers")

    def wait_for_all_workers(self) -> None:
        """Until every worker that there should be has answered for every model."""

        def all_have() -> bool:
            pids = {str(pid) for pid in self.server.pids()}
            answered = (
                {each.text for each in self.answers if each.model == model} for model in self.models
            )
            return len(pids) == self.server.workers and all(pids <= each for each in answered)

        wait_until(lambda: self.failure or all_have(), "answers of every worker")

    def moves(self, seconds: float) -> bool:
        """Is anything answered within a time?"""
        before = len(self.answers)
        self._ending.wait(seconds)
        return len(self.answers) > before

    def count(self, outcome: str) -> int:
        return sum(each.outcome == outcome for each in list(self.answers))

    def check(self, *allowed: str) -> None:
        """Every request was answered, and as it may be."""
        self.server.sent.update(each.model for each in self.answers)
        wrong = [each for each in self.answers if each.outcome not in ("ok", *allowed)]
        assert not wrong
        assert all(
            each.retry_after == "1"
            for each in self.answers
            if each.outcome == "unavailable" and each.retry_after != "gRPC"
        )
        self.check_samples()

    def check_samples(self) -> None:
        """Readiness was true: never ready without a worker that lives and has the models."""
        for number, sample in enumerate(self.samples):
            before = self.samples[max(0, number - LAG) : number + 1]
            lie = sample.ready and not any(each.able for each in before)
            assert not lie, f"{sample.what} is ready without a worker"

    def fell(self) -> bool:
        """Was it ever not ready?"""
        return not all(each.ready for each in self.samples)

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001  # raised in the thread of the test
            self.failure = error

    async def _run(self) -> None:
        host, port = self.server.process.grpc_address.split(":")
        asking: list[Any] = []
        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(self.server.process.url, timeout=aiohttp.ClientTimeout(LONG))
            )

            async def stub() -> Any:
                channel = grpclib.client.Channel(host, int(port))
                return dataplane.GrpcInferenceServiceStub(
                    await stack.enter_async_context(channel), timeout=LONG
                )

            for model, _ in itertools.product(self.models, range(self.clients)):
                asking.append(self._ask_on(model, self._over_rest, http))
                asking.append(self._ask_on(model, self._over_grpc, await stub()))
            asking.append(self._watch(http, await stub()))
            await asyncio.gather(*asking)

    async def _ask_on(self, model: str, ask: Callable[..., Any], client: Any) -> None:
        while not self._ending.is_set():
            self.pending[model] += 1
            value = next(_values)
            answer = attrs.evolve(await ask(model, value, client), value=value)
            self.pending[model] -= 1
            self.answers.append(answer)
            if answer.outcome != "ok":
                await asyncio.sleep(0.02)  # as a client who is told to come back

    async def _over_rest(self, model: str, value: float, http: Any) -> Answer:
        url, body = f"/v2/models/{model}/infer", rest_body("double", value)
        try:
            async with http.post(url, json=body) as answer:
                text, after = await answer.text(), answer.headers.get("Retry-After")
                return answer_of(model, value, answer.status, text, after)
        except aiohttp.ClientConnectorError as error:
            return Answer(model, "refused", repr(error))
        except (aiohttp.ClientError, OSError) as error:
            return Answer(model, "cut off", repr(error))

    async def _over_grpc(self, model: str, value: float, stub: Any) -> Answer:
        try:
            answer = await stub.model_infer(grpc_message(model, "double", value))
        except grpclib.exceptions.GRPCError as error:
            outcome = _OUTCOMES.get(error.status, error.status.name)
            return Answer(model, outcome, str(error.message), "gRPC")
        except ConnectionRefusedError as error:
            return Answer(model, "refused", repr(error), "gRPC")
        except (grpclib.exceptions.StreamTerminatedError, OSError) as error:
            return Answer(model, "cut off", repr(error), "gRPC")
        outputs = {each.name: each.contents for each in answer.outputs}
        outcome = "ok" if outputs["y"].fp64_contents == [2 * value] else "another's"
        pid, number = (outputs[name].int64_contents[0] for name in ("pid", "number"))
        return Answer(model, outcome, str(pid), number=number)

    async def _watch(self, http: Any, stub: Any) -> None:
        async def over_rest(path: str) -> bool:
            async with http.get(f"/v2/{path}") as answer:
                return answer.status == 200

        async def server_ready() -> bool:
            return (await stub.server_ready(dataplane.ServerReadyRequest())).ready

        async def model_ready(name: str) -> bool:
            return (await stub.model_ready(dataplane.ModelReadyRequest(name=name))).ready

        name = self.models[0]
        asked = {
            "the server, over REST,": lambda: over_rest("health/ready"),
            "the model, over REST,": lambda: over_rest(f"models/{name}/ready"),
            "the server, over gRPC,": server_ready,
            "the model, over gRPC,": lambda: model_ready(name),
        }
        while not self._ending.is_set():
            for what, ask in asked.items():
                able = bool(self.server.able(name))
                try:
                    ready = await ask()
                except (aiohttp.ClientError, OSError, grpclib.exceptions.GRPCError):
                    ready = False
                except grpclib.exceptions.StreamTerminatedError:
                    ready = False
                able = able or bool(self.server.able(name))  # it may have loaded meanwhile
                self.samples.append(Sample(what, ready, able))
                await asyncio.sleep(0.005)


@pytest.fixture
def begin(tmp_path: Path, serve: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """Starts a server of a test's own that has the models of ``MODELS``, or what the test has
    written.
    """
    servers: list[Server] = []

    def start(workers: int = 1, *, write: bool = True, **environ: Any) -> Server:
        for name in MODELS if write else ():
            write_misbehaving(tmp_path, name)
        values = {"parallel_workers": workers, **environ}
        names = {f"MLSERVER_{key.upper()}": str(value) for key, value in values.items()}
        started = serve(tmp_path, **names)
        servers.append(Server(started, tmp_path, workers))
        return servers[-1]

    yield start
    for server in servers:
        try:
            if server.process.process.poll() is None:
                server.stop()
        finally:
            sys.stdout.write(server.log)


@pytest.fixture(scope="module")
def shared(
    module_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server with one worker, for tests after which it is as it was."""
    folder = tmp_path_factory.mktemp("faults")
    for name in MODELS:
        write_misbehaving(folder, name)
    server = Server(module_server(folder, MLSERVER_PARALLEL_WORKERS="1"), folder, 1)
    yield server
    server.stop()


def write_misbehaving(root: Path, name: str, implementation: str = "", **settings: Any) -> Path:
    """Writes one of the models, or another that is like it."""
    folder = root / name
    folder.mkdir(exist_ok=True)
    found = implementation or MODELS[name]
    values = {"name": name, "implementation": found, **settings}
    (folder / "model-settings.json").write_text(json.dumps(values), "utf-8")
    (folder / "models.py").write_text(CODE, "utf-8")
    return folder


@pytest.fixture
def write_as(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model, for a server that is started later or loads it anew."""
    return partial(write_misbehaving, tmp_path)


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits for a fact."""
    return wait_until


@pytest.fixture
def traffic() -> Callable[..., Traffic]:
    """A steady load on a server."""
    return Traffic


@pytest.fixture
def kill() -> Callable[..., None]:
    """Sends a signal to a process that is there."""

    def send(pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    return send


@pytest.fixture
def message() -> Callable[..., Any]:
    """Makes a request over gRPC."""
    return grpc_message
