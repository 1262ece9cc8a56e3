"""Sets up the loggers of the server process."""

from __future__ import annotations

import logging
import sys

from mlserver_core.logging.models import NamesModel
from mlserver_core.settings import Settings

FORMAT = "%(asctime)s [%(name)s]%(model)s %(levelname)s - %(message)s"
#: Names our handler, so that a second call finds it.
HANDLER = "stdout_stream_handler"


def configure_logging(settings: Settings) -> None:
    """Sends everything under the logger ``mlserver`` to standard output, one line each. A line
    that a model's code made has the model's name and version.

    Called by the command line only: a program that embeds the server keeps its own logging.
    """
    logger = logging.getLogger("mlserver")
    logger.setLevel(logging.DEBUG if settings.debug else logging.INFO)
    if all(handler.name != HANDLER for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stdout)
        handler.name = HANDLER
        handler.addFilter(NamesModel())
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
