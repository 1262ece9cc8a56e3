from __future__ import annotations

import json
import signal
import socket
import threading
import urllib.error
import urllib.request

import pytest

REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}

ANSWER = """
    from mlserver_core import MLModel
    from mlserver_core.types import InferenceResponse

    class Model(MLModel):
        async def predict(self, payload):
            return InferenceResponse(outputs=[])
"""


def fetch(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def no_traceback(text):
    return "Traceback" not in text


def test_the_lines_at_the_start_name_the_real_ports(start, model):
    model()
    server = start()
    http_port, grpc_port = server.wait_started()
    assert fetch(http_port, "/v2/models/m/infer", REQUEST)[1]["outputs"][0]["data"] == [1.5]
    with socket.create_connection(("127.0.0.1", grpc_port), 30):
        pass
    assert "Started with 1 model(s)" in server.lines[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_success(start, model, number):
    model()
    server = start()
    server.wait_started()
    code, out, err = server.end(number)
    assert (code, err) == (0, "")
    assert f"Stopping on {number.name}" in out
    assert "Unloaded model m" in out


@pytest.mark.parametrize("unload", ["", "    def unload(self): ..."])
def test_a_signal_ends_the_server_also_when_a_predict_never_returns(start, model, unload):
    code = """
        import threading
        from mlserver_core import MLModel

        class Model(MLModel):
            def predict(self, payload):
                print("entered", flush=True)
                threading.Event().wait()

        """
    model(code=code + unload)
    server = start("--set", "shutdown_grace_period=0.1")
    http_port, _ = server.wait_started()
    outcome = []

    def ask():
        try:
            outcome.append(fetch(http_port, "/v2/models/m/infer", REQUEST))
        except OSError as error:  # the server is gone
            outcome.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    server.wait_for("entered")
    try:
        code, out, err = server.end()
    finally:
        server.process.kill()
        asking.join(30)
    assert code == 0, err
    assert "1 request(s) did not finish within shutdown_grace_period" in out


def test_a_signal_ends_the_server_also_while_a_model_loads(start, model):
    code = (
        ANSWER
        + """
        async def load(self):
            import asyncio
            print("entered", flush=True)
            await asyncio.Event().wait()
"""
    )
    model(code=code)
    server = start("--set", "shutdown_grace_period=0.1")
    server.wait_for("entered")
    code, _, err = server.end()
    assert (code, err) == (0, "")


def test_a_signal_ends_the_server_also_while_a_thread_loads_a_model(start, model):
    code = (
        ANSWER
        + """
        def load(self):
            import threading
            print("entered", flush=True)
            threading.Event().wait()
"""
    )
    model(code=code)
    server = start("--set", "shutdown_grace_period=0.1")
    server.wait_for("entered")
    code, _, err = server.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"http_port": "many"}, "models/settings.json: http_port: expected"),
        ({"http_port": 70000}, "models/settings.json: http_port: expected a port"),
        ("{", "models/settings.json: is not valid JSON"),
        ({"on_load_error": "panic"}, "on_load_error: expected one of fail, serve"),
    ],
)
def test_settings_that_cannot_be_used_end_the_start_with_their_place(
    start, model, write, settings, text
):
    model()
    write("models/settings.json", settings)
    code, out, err = start(ports=()).ended()
    assert code == 1
    assert text in err
    assert no_traceback(out + err)


def test_model_settings_that_cannot_be_used_end_the_start_with_every_place(start, write, model):
    model()
    write("models/a/model-settings.json", "{")
    write("models/b/model-settings.json", {"name": "b"})
    code, out, err = start().ended()
    assert code == 1
    assert "models/a/model-settings.json: is not valid JSON" in err
    assert "models/b/model-settings.json: implementation: required, but missing" in err
    assert no_traceback(out + err)


@pytest.mark.parametrize(
    ("implementation", "text"),
    [
        ("ecco", "there is no runtime 'ecco'; did you mean 'echo'?"),
        ("models.Missing", "module 'models' has no 'Missing'"),
        ("nowhere.Model", "there is no module 'nowhere' beside the settings file"),
    ],
)
def test_an_implementation_that_is_not_there_ends_the_start_without_a_traceback(
    start, model, implementation, text
):
    model(code=ANSWER, implementation=implementation)
    code, out, err = start().ended()
    assert code == 1
    assert "model 'm' failed to load" in err
    assert text in err
    assert no_traceback(out + err)


def test_a_load_that_raises_ends_the_start_with_the_reason_and_the_models_traceback(start, model):
    model(code=ANSWER + "        async def load(self): raise ValueError('no weights')\n")
    code, out, err = start().ended()
    assert code == 1
    assert err == "Error: model 'm' failed to load: ValueError: no weights\n"
    assert "models.py" in out
    assert out.count("Traceback") == 1


LEAVES = """
    import asyncio
    import threading
    from mlserver_core import MLModel

    begun = threading.Event()

    def never_returns():
        begun.set()
        threading.Event().wait()

    async def never_lets_go():
        while True:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    class Model(MLModel):
        async def load(self):
            self.left = asyncio.create_task({work})
            while not begun.is_set():
                await asyncio.sleep(0.01)

        async def predict(self, payload):
            raise NotImplementedError
"""


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ("asyncio.to_thread(never_returns)", "Threads do not end: asyncio.to_thread_"),
        ("never_lets_go()", "A model does not let its work be cancelled"),
    ],
)
def test_what_a_model_has_left_does_not_hold_up_the_end_of_a_failed_start(start, model, work, text):
    model("left", LEAVES.replace("{work}", work), parallel_workers=0)
    model("broken", ANSWER + "        async def load(self): return False\n", parallel_workers=0)
    code, out, err = start().ended()
    assert code == 1
    assert err == "Error: model 'broken' failed to load: load() returned False\n"
    assert text in out


def test_a_model_whose_import_fails_ends_the_start_with_its_own_error(start, model):
    model(code="import nowhere_of_test\n")
    code, _, err = start().ended()
    assert code == 1
    assert "model 'm' failed to load: ModuleNotFoundError: No module named 'nowhere_of_test'" in err


def test_a_load_that_ends_the_process_is_a_failed_load(start, model):
    model(code=ANSWER + "        async def load(self): raise SystemExit(0)\n")
    code, _, err = start().ended()
    assert code == 1
    assert "SystemExit: 0" in err


def test_on_load_error_serve_keeps_the_others_serving(start, model):
    model()
    model("bad", code=ANSWER + "        async def load(self): raise ValueError('no weights')\n")
    server = start("--set", "on_load_error=serve")
    http_port, _ = server.wait_started()
    assert fetch(http_port, "/v2/models/m/infer", REQUEST)[0] == 200
    assert fetch(http_port, "/v2/health/ready")[0] == 400
    assert server.end()[0] == 0


@pytest.mark.parametrize(
    ("transport", "setting"), [("gRPC", "grpc_port"), ("Metrics", "metrics_port")]
)
def test_a_port_that_is_taken_ends_the_start_with_the_setting(start, model, transport, setting):
    model()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        option = "--" + setting.replace("_", "-")
        code, out, err = start(option, port).ended()
    assert code == 1
    assert f"Error: {transport} cannot listen on 127.0.0.1:{port}" in err
    assert f"set {setting} (MLSERVER_{setting.upper()}, {option})" in err
    assert no_traceback(out + err)


def test_an_unknown_key_warns_and_with_strict_ends_the_start(start, model, write):
    model(implementaton="x")
    write("models/settings.json", {"htp_port": 1})
    server = start()
    server.wait_for(
        "WARNING - models/settings.json: htp_port: unknown key; did you mean 'http_port'"
    )
    server.wait_for("WARNING - .*implementaton: unknown key; did you mean 'implementation'")
    server.wait_for("Started with")
    code, out, err = start("--strict").ended()
    assert code == 1
    assert "htp_port: unknown key; did you mean 'http_port'?" in err
    assert no_traceback(out + err)
    write("models/settings.json", {})
    code, _, err = start("--strict").ended()
    assert code == 1
    assert "implementaton: unknown key" in err


def test_a_setting_without_effect_warns(start, model, write):
    model()
    write("models/settings.json", {"use_structured_logging": True})
    server = start()
    server.wait_for("WARNING - models/settings.json: use_structured_logging: has no effect yet")
    server.wait_started()


def test_the_dotenv_file_of_the_current_folder_lies_below_everything_else(start, model, write):
    model()
    write(".env", "MLSERVER_SERVER_NAME=from-dotenv\nMLSERVER_HTTP_PORT=0\n")
    ports = ("--grpc-port", "0", "--metrics-port", "0")
    server = start(ports=ports)
    http_port, _ = server.wait_started()
    assert fetch(http_port, "/v2")[1]["name"] == "from-dotenv"
    server = start(ports=ports, MLSERVER_SERVER_NAME="from-environment")
    http_port, _ = server.wait_started()
    assert fetch(http_port, "/v2")[1]["name"] == "from-environment"
    write("models/settings.json", {"server_name": "from-file"})
    server = start(ports=ports)
    http_port, _ = server.wait_started()
    assert fetch(http_port, "/v2")[1]["name"] == "from-file"


def test_set_gives_any_setting_over_all_other_places(start, model, write):
    model()
    write("models/settings.json", {"server_name": "from-file"})
    server = start(
        "--set", "server_name=a=b", "--set", 'extensions=["mine"]', MLSERVER_SERVER_NAME="x"
    )
    http_port, _ = server.wait_started()
    metadata = fetch(http_port, "/v2")[1]
    assert metadata["name"] == "a=b"
    assert "mine" in metadata["extensions"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--set", "server_name"], "expected NAME=VALUE, got 'server_name'"),
        (["--http-port", "many"], "command line: http_port: expected"),
        (["--set", "max_body_size=-1"], "command line: max_body_size: expected at least 1"),
        (["--strict", "--set", "servr_name=x"], "servr_name: unknown key"),
        (["--nonsense"], "No such option"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(start, model, arguments, text):
    model()
    code, out, err = start(*arguments).ended()
    assert code != 0
    assert text.lower() in err.lower()
    assert no_traceback(out + err)


def test_a_folder_that_is_not_there_is_refused(mlserver):
    ended = mlserver("start", "nowhere")
    assert ended.returncode == 2
    assert "nowhere" in ended.stderr
    assert no_traceback(ended.stderr)


def test_models_may_share_code_of_the_repository_and_of_the_current_folder(start, model, write):
    write("models/shared_in_models.py", "VALUE = 1")
    write("shared_here.py", "VALUE = 2")
    model(
        code="import shared_in_models, shared_here\n"
        + "\n".join(line.removeprefix("    ") for line in ANSWER.splitlines())
    )
    server = start()
    http_port, _ = server.wait_started()
    assert fetch(http_port, "/v2/models/m/ready")[0] == 200


def test_code_of_the_current_folder_shadows_no_installed_package(start, model, write):
    write("orjson.py", "raise AssertionError")
    write("models/aiohttp.py", "raise AssertionError")
    model(
        code="import orjson, aiohttp\n"
        + "\n".join(line.removeprefix("    ") for line in ANSWER.splitlines())
    )
    start().wait_started()


def test_the_log_of_requests_is_shown_with_debug_only(start, model):
    model()
    for debug in ("true", "false"):
        server = start("--set", f"debug={debug}")
        http_port, _ = server.wait_started()
        assert fetch(http_port, "/v2/health/ready")[0] == 200
        _, out, _ = server.end()
        assert ("GET /v2/health/ready" in out) is (debug == "true")


def test_a_plugin_that_serves_is_part_of_the_server(start, model, installed):
    path = installed(
        "greeter",
        """
        from mlserver_core import hookimpl

        @hookimpl
        def mlserver_register_runtimes(registry):
            registry.add("greeter", "mlserver_core.runtimes.echo.EchoRuntime")

        @hookimpl
        def mlserver_server_started(server):
            print("greetings", flush=True)
        """,
    )
    model(implementation="greeter")
    server = start(PYTHONPATH=path)
    server.wait_for("greetings")
    code, _, err = start(PYTHONPATH=path, MLSERVER_BLOCK_PLUGINS="greeter").ended()
    assert code == 1
    assert "there is no runtime 'greeter'" in err
    assert "Plugin 'greeter' is blocked" not in err
