"""What handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine

ENGINE = web.AppKey("engine", InferenceEngine)
