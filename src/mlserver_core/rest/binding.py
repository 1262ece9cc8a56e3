"""What a custom handler asks for by its parameters, and where in a request it is found."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
from aiohttp import web

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.rest.body import read_body
from mlserver_core.rest.infer import read_headers
from mlserver_core.types import InferenceRequest
from mlserver_core.types.converter import show, structure
from mlserver_core.types.tensors import to_elements
from mlserver_core.wire.binary import decode_request
from mlserver_core.wire.json import decode_plain

_EMPTY = inspect.Parameter.empty
_SCALARS = (str, int, float, bool)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_EXPECTED = {int: "an integer", float: "a number", bool: "true or false"}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@attrs.frozen(kw_only=True)
class Parameter:
    """One parameter of a handler.

    Attributes:
        name: its name.
        hint: the type it asks for, without ``Optional``.
        source: ``request``, ``path``, ``query`` or ``body``; ``text`` is the query or, where
            that does not have it, the body.
        default: its value when the request has none; ``inspect.Parameter.empty`` refuses it.
    """

    name: str
    hint: Any
    source: str
    default: Any

    def absent(self) -> Any:
        """The default; raises InvalidRequest where there is none."""
        if self.default is _EMPTY:
            raise InvalidRequest(f"parameter {self.name!r}: required, but missing")
        return self.default


@attrs.frozen
class Plan:
    """How the arguments of one handler are found; made once per handler."""

    parameters: tuple[Parameter, ...]

    async def bind(self, request: web.Request, variables: Mapping[str, str]) -> dict[str, Any]:
        """The arguments by name.

        Args:
            request: the call.
            variables: what stands in the path, by name.

        Raises:
            MLServerError: names the parameter that the request does not fit.
        """
        arguments: dict[str, Any] = {}
        for parameter in self.parameters:
            name = parameter.name
            if parameter.source == "request":
                arguments[name] = request
            elif parameter.source == "path":
                arguments[name] = _to_scalar(parameter, variables[name])
            elif parameter.source in ("query", "text") and name in request.query:
                arguments[name] = _to_scalar(parameter, request.query[name])
            elif parameter.source == "query":
                arguments[name] = parameter.absent()
            else:
                arguments[name] = await _read(parameter, request)
        return arguments


def make_plan(function: Callable[..., Any], method: str, variables: Collection[str]) -> Plan:
    """Reads a handler's signature.

    Args:
        function: the handler, without ``self``.
        method: its HTTP verb.
        variables: the names of those in its path.

    Raises:
        RuntimeFailed: it asks for what a request does not have; its author must act.
    """
    try:
        hints = _read_hints(function)
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise RuntimeFailed(
            f"{_name(function)}: its annotations cannot be read: {error}"
        ) from error
    parameters = []
    for given in inspect.signature(function).parameters.values():
        if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
            continue
        hint, optional = _without_none(hints.get(given.name, str))
        default = None if optional and given.default is _EMPTY else given.default
        source = _source(hint, method)
        if given.name in variables:
            source = "path" if hint in _SCALARS else ""
        if source == "" or given.kind is given.POSITIONAL_ONLY:
            raise RuntimeFailed(
                f"{_name(function)}: parameter {given.name!r} cannot be filled from a request; "
                "annotate it as str, int, float or bool, or, where it is no variable of the path, "
                "as a V2 type, an attrs class, dict, list, bytes or aiohttp.web.Request"
            )
        parameters.append(Parameter(name=given.name, hint=hint, source=source, default=default))
    return Plan(_with_one_body(function, parameters))


def _read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters; that of what is returned is nobody's business here."""
    inner = inspect.unwrap(function)
    written = {name: hint for name, hint in inner.__annotations__.items() if name != "return"}
    names = getattr(inner, "__globals__", {})
    return typing.get_type_hints(types.SimpleNamespace(__annotations__=written), names)


def _source(hint: Any, method: str) -> str:
    if hint is str and method in _WITH_BODY:
        return "text"
    if hint in _SCALARS:
        return "query"
    kind = typing.get_origin(hint) or hint
    if not isinstance(kind, type):
        return ""
    if issubclass(kind, web.BaseRequest):
        return "request"
    known = kind in (dict, list, bytes) or attrs.has(kind) or hasattr(kind, "model_validate")
    return "body" if known else ""


def _with_one_body(
    function: Callable[..., Any], parameters: list[Parameter]
) -> tuple[Parameter, ...]:
    """A text may be the body where it is the only parameter that could be."""
    bodies = [each.name for each in parameters if each.source == "body"]
    texts = [each.name for each in parameters if each.source == "text"]
    if len(bodies) > 1:
        raise RuntimeFailed(
            f"{_name(function)}: the parameters {', '.join(bodies)} all ask for the body; "
            "one can have it"
        )
    if not bodies and len(texts) == 1:
        return tuple(parameters)
    return tuple(
        attrs.evolve(each, source="query") if each.source == "text" else each for each in parameters
    )


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        others = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(others) == 1:
            return others[0], len(others) < len(typing.get_args(hint))
    return (str if hint is Any else hint), False


def _to_scalar(parameter: Parameter, text: str) -> Any:
    if parameter.hint is bool:
        value = _TRUTH.get(text.lower())
        if value is not None:
            return value
    else:
        try:
            return parameter.hint(text)
        except (ValueError, TypeError):
            pass
    expected = _EXPECTED.get(parameter.hint, "another value")
    raise InvalidRequest(f"parameter {parameter.name!r}: expected {expected}, got {show(text)}")


async def _read(parameter: Parameter, request: web.Request) -> Any:
    """The body as a parameter asks for it."""
    body = await read_body(request)
    if not body and parameter.default is not _EMPTY:
        return parameter.default
    if parameter.hint is bytes:
        return bytes(body)
    if parameter.hint is str:
        return _to_text(parameter, body) if body else parameter.absent()
    headers = read_headers(request)
    if parameter.hint is InferenceRequest:
        return _to_inference(body, headers)
    plain = decode_plain(body, headers)
    try:
        return _to_object(parameter.hint, plain)
    except (InvalidRequest, ValueError) as error:
        raise InvalidRequest(f"parameter {parameter.name!r}: {error}") from None


def _to_text(parameter: Parameter, body: bytearray) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"parameter {parameter.name!r}: the body is not UTF-8 text: {error}"
        ) from None


def _to_inference(body: bytearray, headers: Mapping[str, str]) -> InferenceRequest:
    """An inference request with arrays for tensors, as ``predict`` gets it."""
    inference, _ = decode_request(body, headers)
    for tensor in inference.inputs:
        tensor.data.root = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    return inference


def _to_object(hint: Any, plain: Any) -> Any:
    if hint in (dict, list):
        if not isinstance(plain, hint):
            expected = "an object" if hint is dict else "a list"
            raise InvalidRequest(f"expected {expected}, got {show(plain)}")
        return plain
    if not attrs.has(hint) and hasattr(hint, "model_validate"):  # of pydantic
        return hint.model_validate(plain)
    return structure(plain, hint)


def _name(function: Callable[..., Any]) -> str:
    return f"custom handler {getattr(function, '__qualname__', function)}"
