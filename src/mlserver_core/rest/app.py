"""The routes."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.rest import docs, health, repository
from mlserver_core.rest.compression import compress
from mlserver_core.rest.cors import CrossOrigin
from mlserver_core.rest.custom import answer_custom, list_custom
from mlserver_core.rest.draining import close_connection
from mlserver_core.rest.errors import answer_errors
from mlserver_core.rest.fast_path import FAST_PATH, FastPath
from mlserver_core.rest.handler_answers import PLANS, note_begun
from mlserver_core.rest.infer import post_infer
from mlserver_core.rest.keys import ENGINE, READING
from mlserver_core.rest.metrics import count_requests
from mlserver_core.rest.open_calls import OPEN_CALLS, OpenCalls
from mlserver_core.rest.request_id import add_request_id
from mlserver_core.rest.streams import post_stream
from mlserver_core.settings import Settings

_MODEL = "/v2/models/{model_name}"
_REPOSITORY = "/v2/repository/models/{model_name}"
_VERSION = _MODEL + "/versions/{model_version}"


def make_app(settings: Settings, engine: InferenceEngine) -> web.Application:
    """The aiohttp application; ``HEAD`` works wherever ``GET`` does."""
    app = web.Application(client_max_size=settings.max_body_size)
    app[ENGINE] = engine
    app[PLANS] = WeakKeyDictionary()
    app[OPEN_CALLS] = OpenCalls()
    app[READING] = InFlight()
    _add_layers(app, settings)
    metrics = count_requests(app, settings)
    app.router.add_get("/v2", health.get_server_metadata)
    app.router.add_get("/v2/health/live", health.get_live)
    app.router.add_get("/v2/health/ready", health.get_ready)
    inference = [_add_model_routes(app, model) for model in (_MODEL, _VERSION)]
    app.router.add_post("/v2/repository/index", repository.post_index)
    app.router.add_post(_REPOSITORY + "/load", repository.post_load)
    app.router.add_post(_REPOSITORY + "/unload", repository.post_unload)
    docs.add_routes(app, lambda: list_custom(engine))
    app[FAST_PATH] = FastPath(app, inference, settings, metrics)
    return app


def _add_model_routes(app: web.Application, model: str) -> web.AbstractRoute:
    """Adds what is below the path of a model; returns the route of inference."""
    app.router.add_get(model, health.get_model_metadata)
    app.router.add_get(model + "/ready", health.get_model_ready)
    route = app.router.add_post(model + "/infer", post_infer)
    app.router.add_post(model + "/infer_stream", post_stream)
    app.router.add_post(model + "/generate", post_infer)
    app.router.add_post(model + "/generate_stream", post_stream)
    return route


def _add_layers(app: web.Application, settings: Settings) -> None:
    """What every call goes through, outermost first."""
    app.on_response_prepare.append(add_request_id)
    app.on_response_prepare.append(note_begun)
    app.on_response_prepare.append(close_connection)
    if settings.gzip_enabled:
        app.middlewares.append(compress)
    app.middlewares.append(answer_errors)
    if settings.cors_settings is not None:
        cross_origin = CrossOrigin(settings.cors_settings)
        app.middlewares.append(cross_origin.answer_preflights)
        app.on_response_prepare.append(cross_origin.add_headers)
    app.middlewares.append(answer_custom)
