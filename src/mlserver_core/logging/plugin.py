"""Logs what happens to models and to the server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlserver_core.errors import named
from mlserver_core.hooks import hookimpl

if TYPE_CHECKING:
    from mlserver_core.model import MLModel
    from mlserver_core.server import MLServer

logger = logging.getLogger("mlserver")


@hookimpl
def mlserver_model_loaded(model: MLModel) -> None:
    """Says so."""
    logger.info("Loaded model %s", named(model.name, model.version))


@hookimpl
def mlserver_model_unloaded(model: MLModel) -> None:
    """Says so."""
    logger.info("Unloaded model %s", named(model.name, model.version))


@hookimpl
def mlserver_server_started(server: MLServer) -> None:
    """Says how to open a server that only this machine can reach."""
    if server.settings.is_local:
        logger.info(
            "Only this machine can connect. To open the server to others, set "
            '"host": "0.0.0.0" in settings.json, or MLSERVER_HOST=0.0.0.0'
        )


@hookimpl
def mlserver_server_stopping(server: MLServer) -> None:
    """Says what is waited for."""
    logger.info("Stopping; %d request(s) in flight", server.engine.in_flight.count)
