"""How a server and a worker find out, with their first frames, that they understand each other.

INIT and HELLO hold a number of the protocol, a version, and nothing else that another release
would have to know: what INIT says further is packed by itself, and read when the numbers agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from mlserver_core.executors.processes.frames import PROTOCOL
from mlserver_core.executors.processes.values import pack, unpack
from mlserver_core.settings import Settings


def make_init(settings: Settings, levels: Mapping[str, int]) -> dict[str, Any]:
    """The body of INIT.

    Args:
        settings: of the server.
        levels: of loggers, by name.

    Raises:
        RuntimeFailed: a setting that cannot be sent; says which.
    """
    words, buffers = pack({"settings": settings, "levels": dict(levels)})
    return {
        "protocol": PROTOCOL,
        "version": version(),
        "words": words,
        "payload": b"".join(buffers),
    }


def read_init(body: Mapping[str, Any]) -> tuple[Settings, dict[str, int]] | None:
    """What ``make_init`` was given; None from a server that speaks another protocol."""
    if body["protocol"] != PROTOCOL:
        return None
    greeting = unpack(body["words"], bytearray(body["payload"]))
    return greeting["settings"], greeting["levels"]


def make_hello(pid: int) -> dict[str, Any]:
    """The body of HELLO.

    Args:
        pid: of the worker.
    """
    return {"protocol": PROTOCOL, "version": version(), "pid": pid}


def mismatch(protocol: Any, release: Any) -> str:
    """What to do about a worker that says of itself what it speaks; empty where it is understood.

    Args:
        protocol: its number; None of a worker that has none.
        release: the version of its mlserver-core.
    """
    if protocol == PROTOCOL:
        return ""
    spoken = "no numbered protocol" if protocol is None else f"protocol {protocol}"
    return (
        f"its mlserver-core {release or 'of unknown version'} speaks {spoken} with its server, and "
        f"this server (mlserver-core {version()}) speaks protocol {PROTOCOL}; install "
        f"mlserver-core=={version()} in the model's environment, or serve with the release that "
        "the environment has"
    )


def version() -> str:
    """The version of this mlserver-core."""
    try:
        return metadata.version("mlserver-core")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "of unknown version"
