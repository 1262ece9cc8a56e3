from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing

import pytest


@pytest.fixture(scope="session")
def call():
    """One HTTP call, as raw as http.client makes it: status, headers, body."""

    def send(server, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        with closing(connection):
            connection.request(method, path, data, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    return send


@pytest.fixture
def open_socket():
    """Opens a connection to a server and sends bytes."""
    sockets = []

    def connect(server, sent=b""):
        client = socket.create_connection(("127.0.0.1", server.http_port), timeout=30)
        sockets.append(client)
        client.sendall(sent)
        return client

    yield connect
    for client in sockets:
        client.close()


@pytest.fixture(scope="module")
def served(module_server, tmp_path_factory):
    """Starts a server, which the tests of a module share, with models and settings; models with
    code live in as many ``workers``, or in the server's process.
    """

    def start(models, workers=0, **settings):
        folder = tmp_path_factory.mktemp("served")
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        for name, code in models.items():
            (folder / name).mkdir()
            values = {"implementation": "models.Model" if code else "echo"}
            values["parallel_workers"] = workers
            path = folder / name / "model-settings.json"
            path.write_text(json.dumps(values), encoding="utf-8")
            if code:
                (folder / name / "models.py").write_text(code, encoding="utf-8")
        return module_server(folder)

    return start
