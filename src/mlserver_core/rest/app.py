"""The routes."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.rest import docs, health, repository
from mlserver_core.rest.errors import answer_errors
from mlserver_core.rest.infer import post_infer
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.metrics import count_requests
from mlserver_core.settings import Settings

_MODEL = "/v2/models/{model_name}"
_REPOSITORY = "/v2/repository/models/{model_name}"
_VERSION = _MODEL + "/versions/{model_version}"


def make_app(settings: Settings, engine: InferenceEngine) -> web.Application:
    """The aiohttp application; ``HEAD`` works wherever ``GET`` does."""
    app = web.Application(client_max_size=settings.max_body_size, middlewares=[answer_errors])
    app[ENGINE] = engine
    count_requests(app, settings)
    app.router.add_get("/v2", health.get_server_metadata)
    app.router.add_get("/v2/health/live", health.get_live)
    app.router.add_get("/v2/health/ready", health.get_ready)
    for model in (_MODEL, _VERSION):
        app.router.add_get(model, health.get_model_metadata)
        app.router.add_get(model + "/ready", health.get_model_ready)
        app.router.add_post(model + "/infer", post_infer)
    app.router.add_post("/v2/repository/index", repository.post_index)
    app.router.add_post(_REPOSITORY + "/load", repository.post_load)
    app.router.add_post(_REPOSITORY + "/unload", repository.post_unload)
    docs.add_routes(app)
    return app
