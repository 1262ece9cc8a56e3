"""What handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.route_table import Route

ENGINE = web.AppKey("engine", InferenceEngine)
#: The custom handler that answers a request.
MATCHED = web.RequestKey("matched", Route)
#: The body, where it has been read already.
BODY = web.RequestKey("body", bytearray)
#: The bodies that are being read.
READING = web.AppKey("reading", InFlight)
