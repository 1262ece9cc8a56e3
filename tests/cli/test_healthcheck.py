from __future__ import annotations

import os
import socket
import threading

import pytest
from click.testing import CliRunner

from mlserver_core.cli.healthcheck import healthcheck

NEVER_LOADS = """
    import asyncio
    from mlserver_core import MLModel

    class Model(MLModel):
        async def load(self):
            print("entered", flush=True)
            await asyncio.Event().wait()
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Runs ``mlserver healthcheck`` in this process."""
    monkeypatch.chdir(tmp_path)
    ours = {name: None for name in os.environ if "MLSERVER" in name}

    def invoke(*arguments, **environ):
        return CliRunner().invoke(healthcheck, list(map(str, arguments)), env={**ours, **environ})

    return invoke


@pytest.fixture
def listening():
    """A port on which somebody answers each connection with the same bytes, or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def answer(data):
            def run():
                connection, _ = server.accept()
                connections.append(connection)
                if data:
                    connection.recv(65536)
                    connection.sendall(data)
                    connection.close()

            thread = threading.Thread(target=run)
            thread.start()
            threads.append(thread)
            return server.getsockname()[1]

        threads = []
        yield answer
        for thread in threads:
            thread.join(30)
        for connection in connections:
            connection.close()


@pytest.fixture
def free_port():
    """A port on which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_is_ready_is_healthy(mlserver, shared_server):
    ended = mlserver("healthcheck", MLSERVER_HTTP_PORT=str(shared_server.http_port))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ready\n", "")


def test_the_port_is_read_where_the_server_reads_it(
    check, shared_server, write, free_port, tmp_path
):
    port = shared_server.http_port
    write("models/settings.json", {"http_port": port})
    assert check("models").exit_code == 0
    assert check(MLSERVER_MODELS_DIR="models").exit_code == 0
    assert check("models", MLSERVER_HTTP_PORT=str(free_port)).exit_code == 1
    write("models/settings.json", {"http_port": free_port})
    assert check("models").exit_code == 1
    assert check("models", MLSERVER_HTTP_PORT=str(port)).exit_code == 0
    write("defaults/settings.json", {"http_port": port})
    assert check("elsewhere", MLSERVER_DEFAULTS_DIRS="defaults").exit_code == 0
    write("settings.json", {"http_port": port})
    assert check(MLSERVER_MODELS_DIR="s3://bucket/models").exit_code == 0
    (tmp_path / "settings.json").unlink()
    write(".env", f"MLSERVER_HTTP_PORT={port}")
    assert check().exit_code == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_a_server_that_listens_everywhere_is_asked_on_this_machine(check, shared_server, host):
    port = str(shared_server.http_port)
    assert check(MLSERVER_HOST=host, MLSERVER_HTTP_PORT=port).exit_code == 0


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_server_on_ipv6_is_asked_there(check, serve, tmp_path):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    (tmp_path / "models").mkdir()
    server = serve(tmp_path / "models", "--host", "::1")
    port = str(server.http_port)
    assert check(MLSERVER_HOST="::1", MLSERVER_HTTP_PORT=port).exit_code == 0
    assert check(MLSERVER_HOST="::", MLSERVER_HTTP_PORT=port).exit_code == 0
    assert server.stop() == 0
    gone = check(MLSERVER_HOST="::1", MLSERVER_HTTP_PORT=port)
    assert f"no answer from [::1]:{port}: " in gone.stderr


def test_a_server_whose_models_are_not_loaded_is_not_ready(check, start, model):
    model(code=NEVER_LOADS)
    server = start("--set", "shutdown_grace_period=0.1")
    port = server.wait_for(r"REST server listening on http://127\.0\.0\.1:(\d+)$")[1]
    server.wait_for("entered")
    result = check(MLSERVER_HTTP_PORT=port)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: 127.0.0.1:{port} is not ready: status 400\n"
    server.end()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_where_nobody_listens_there_is_no_answer(check, free_port, host):
    result = check(MLSERVER_HOST=host, MLSERVER_HTTP_PORT=str(free_port))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no answer from 127.0.0.1:{free_port}: " in result.stderr
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "a b", "a" * 64])
def test_a_host_that_cannot_be_found_gives_no_answer(check, host):
    result = check(MLSERVER_HOST=host, MLSERVER_HTTP_PORT="8080")
    assert (result.exit_code, f"no answer from {host}:8080" in result.stderr) == (1, True)


@pytest.mark.parametrize("data", [b"220 mail.example ready\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_another_server_on_that_port_is_no_answer(check, listening, data):
    result = check(MLSERVER_HTTP_PORT=str(listening(data)))
    assert (result.exit_code, "no answer from" in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr


def test_a_server_that_hangs_is_given_up(check, listening):
    result = check("--timeout", "0.2", MLSERVER_HTTP_PORT=str(listening(b"")))
    assert (result.exit_code, "timed out" in result.stderr) == (1, True)


@pytest.mark.parametrize("value", ["0", "-1", "x", "inf"])
def test_a_timeout_is_a_number_of_seconds(check, value):
    assert check("--timeout", value).exit_code == 2


def test_a_port_that_only_the_server_knows_is_said_to_be_unknown(check):
    result = check(MLSERVER_HTTP_PORT="0")
    assert result.exit_code == 1
    assert "http_port is 0" in result.stderr


def test_settings_that_cannot_be_used_are_an_error_with_their_place(check, write):
    file = write("models/settings.json", "{")
    result = check("models")
    assert (result.exit_code, "settings.json: is not valid JSON" in result.stderr) == (1, True)
    file.write_text('{"http_port": "many"}')
    result = check("models")
    assert (result.exit_code, "http_port" in result.stderr) == (1, True)
