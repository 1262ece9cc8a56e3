"""Settings of a model that do nothing as its server is set, for the author to know."""

from __future__ import annotations

from collections.abc import Iterator

from mlserver_core.engine.parts import Parts
from mlserver_core.engine.placement import in_server
from mlserver_core.settings import ModelSettings, Settings


def find_unused(model: ModelSettings, parts: Parts, settings: Settings) -> Iterator[str]:
    """What has no effect, and why: a sentence each.

    Args:
        model: settings of the model.
        parts: of the server.
        settings: of the server.
    """
    parameters = model.parameters
    if parameters is not None:
        if parameters.inference_pool_gid == "":
            yield "parameters.inference_pool_gid has no effect: it is empty; name a pool"
        for name in ("inference_pool_gid", "autogenerate_inference_pool_gid"):
            if getattr(parameters, name) and in_server(model, parts):
                yield (
                    f"parameters.{name} has no effect: the model runs in the server's own "
                    "process, not in workers"
                )
    if model.cache_enabled and not settings.cache_enabled:
        yield "cache_enabled has no effect: the server's cache_enabled is false"
