"""What a worker does from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.engine.lifecycle import Parts
from mlserver_core.engine.parts import collect_parts, load_plugins
from mlserver_core.executors.interfaces import ExecutorFactory, HttpAnswer
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.threads import THREAD_PREFIX
from mlserver_core.hooks.registry import Registry
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.settings import Settings
from mlserver_core.types.context import RequestContext
from mlserver_core.worker.calls import Call, Calls
from mlserver_core.worker.lifeline import Lifeline, guard
from mlserver_core.worker.logs import start_shipping
from mlserver_core.worker.metrics import ShippedMetrics
from mlserver_core.worker.models import Models
from mlserver_core.worker.sender import Sender

logger = logging.getLogger("mlserver")

#: Seconds between two looks at what models say of their ``ready``.
_LOOK = 0.5
_WORK: Mapping[Kind, str] = {
    Kind.LOAD: "load",
    Kind.UNLOAD: "unload",
    Kind.PREDICT: "predict",
    Kind.STREAM: "stream",
    Kind.CALL: "call",
    Kind.EXCHANGE: "exchange",
}
_OF_A_CALL = frozenset({Kind.NEXT, Kind.INPUT, Kind.INPUT_END, Kind.INPUT_ERROR})


@attrs.define(eq=False)
class Worker:
    """One worker, in its event loop.

    Attributes:
        sender: to the server.
    """

    sender: Sender = attrs.field(factory=Sender, init=False)
    _models: Models | None = attrs.field(default=None, init=False)
