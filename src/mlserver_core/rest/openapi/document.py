"""OpenAPI 3.1 documents, as plain dicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import attrs
from aiohttp import web

from mlserver_core.rest.openapi.operations import ERRORS, JSON, TAGS, Operation, find_operation
from mlserver_core.rest.openapi.schemas import Schema, make_components, schema_of
from mlserver_core.rest.openapi.tensors import make_example, narrow
from mlserver_core.types import InferenceErrorResponse, InferenceRequest, MetadataModelResponse

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PLACEHOLDERS = {"model_name": "The model's name.", "model_version": "A version of the model."}


@attrs.frozen(kw_only=True)
class CustomPath:
    """A call that a model brings along.

    Attributes:
        method: in capitals, such as ``POST``.
        path: with placeholders in braces.
        summary: what it is for, in one line.
    """

    method: str
    path: str
    summary: str


@attrs.frozen(kw_only=True)
class Site:
    """What every document of one server has in common.

    Attributes:
        routes: method and path of each call.
        version: of the server.
        root: the path prefix that clients use, without a slash at its end.
        custom: what the models bring along.
    """

    routes: tuple[tuple[str, str], ...]
    version: str
    root: str = ""
    custom: tuple[CustomPath, ...] = ()


def list_routes(app: web.Application) -> tuple[tuple[str, str], ...]:
    """Method and path of each route of an application, but for the ``HEAD`` of each ``GET``."""
    return tuple(
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    )


def describe_server(site: Site) -> Schema:
    """The document of all calls."""
    document = _make_document(site, "Data Plane", site.routes, {}, make_example(None))
    if site.custom:
        document["tags"].append({"name": "custom", "description": TAGS["custom"]})
    for custom in site.custom:
        item = document["paths"].setdefault(custom.path, {})
        item[custom.method.lower()] = _describe_custom(custom)
    return document


def describe_model(site: Site, model: MetadataModelResponse, version: str | None) -> Schema:
    """The document of one model's calls, with its name, its version and its tensors.

    Args:
        site: the server.
        model: what the model says of itself.
        version: the version that is asked for; None for the calls that name none.
    """
    filled = {"model_name": model.name} | ({"model_version": version} if version else {})
    own = tuple(
        (method, path)
        for method, path in site.routes
        if "{model_name}" in path and ("{model_version}" in path) is bool(version)
    )
    title = f"Data Plane for Model {model.name}" + (f" ({version})" if version else "")
    document = _make_document(site, title, own, filled, make_example(model.inputs))
    document["components"]["schemas"] = narrow(document["components"]["schemas"], model)
    return document


def _make_document(
    site: Site,
    title: str,
    routes: Iterable[tuple[str, str]],
    filled: Mapping[str, str],
    example: Schema | None,
) -> Schema:
    paths: dict[str, dict[str, Any]] = {}
    types: list[Any] = [InferenceErrorResponse]
    tags = set()
    for method, path in routes:
        operation = find_operation(method, path)
        if operation is None:
            continue
        tags.add(operation.tag)
        types += filter(None, (operation.body, operation.answer, operation.refusal))
        shown = _PLACEHOLDER.sub(lambda found: _fill(found, filled), path)
        described = _describe(operation, example)
        paths.setdefault(shown, {})[method.lower()] = _with_parameters(described, shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": site.version,
            "description": "The Open Inference Protocol (V2), and what this server adds to it.",
        },
        "servers": [{"url": site.root or "/"}],
        "tags": [
            {"name": name, "description": text} for name, text in TAGS.items() if name in tags
        ],
        "paths": paths,
        "components": {"schemas": make_components(types)},
    }


def _fill(found: re.Match[str], filled: Mapping[str, str]) -> str:
    value = filled.get(found[1])
    return found[0] if value is None else quote(value, safe="")


def _with_parameters(operation: Schema, path: str) -> Schema:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PLACEHOLDERS.get(name, "A part of the path."),
            "schema": {"type": "string"},
        }
        for name in _PLACEHOLDER.findall(path)
    ]
    return {**operation, "parameters": parameters} if parameters else operation


def _describe(operation: Operation, example: Schema | None) -> Schema:
    described: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _describe_answers(operation),
    }
    if operation.body is not None:
        content: Schema = {"schema": schema_of(operation.body)}
        if operation.body is InferenceRequest and example is not None:
            content["example"] = example
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {JSON: content},
        }
    return described


def _describe_answers(operation: Operation) -> Schema:
    answers: Schema = {"200": {"description": "Done."}}
    if operation.answer is not None:
        answers["200"] = _answer("The answer.", operation.answer, operation.media)
    for status in operation.errors:
        answers[str(status)] = _answer(ERRORS[status], InferenceErrorResponse)
    if operation.refusal is not None:
        answers["400"] = _answer("Not now: `ready` is false.", operation.refusal)
    return answers


def _answer(text: str, annotation: Any, media: str = JSON) -> Schema:
    return {"description": text, "content": {media: {"schema": schema_of(annotation)}}}


def _describe_custom(custom: CustomPath) -> Schema:
    described: Schema = {
        "operationId": "_".join(
            ["custom", custom.method.lower(), *re.findall(r"\w+", custom.path)]
        ),
        "tags": ["custom"],
        "summary": custom.summary,
        "responses": {"default": {"description": "What the model's handler answers."}},
    }
    if custom.method in ("POST", "PUT", "PATCH"):
        described["requestBody"] = {"content": {JSON: {"schema": {}}}}
    return _with_parameters(described, custom.path)
