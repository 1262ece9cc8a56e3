"""JSON schemas (OpenAPI 3.1, "Schema Object") of the V2 types, read from their attrs classes."""

from __future__ import annotations

import enum
import inspect
import re
import types
import typing
from collections.abc import Iterable
from typing import Any

import attrs

from mlserver_core.types import TensorData
from mlserver_core.types.open_names import OpenNames, known_names

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
#: One line of the "Attributes" of a docstring, with the lines that continue it.
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def schema_of(annotation: Any) -> Schema:
    """The schema of a type annotation; classes of ours are references into the components.

    Raises:
        TypeError: an annotation that no V2 type has had so far.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return {}
    if annotation in _SCALARS:
        return {"type": _SCALARS[annotation]}
    if origin in (types.UnionType, typing.Union):
        return _or_null([each for each in arguments if each is not types.NoneType])
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if annotation is dict or origin is dict:
        return {"type": "object"}
    if _is_component(annotation):
        return {"$ref": f"#/components/schemas/{annotation.__name__}"}
    raise TypeError(f"no schema is known for {annotation!r}")


def make_components(roots: Iterable[Any]) -> dict[str, Schema]:
    """The schema of every class that these annotations reach, by class name."""
    made: dict[str, Schema] = {}
    waiting = list(roots)
    while waiting:
        annotation = waiting.pop()
        waiting += typing.get_args(annotation)
        if _is_component(annotation) and annotation.__name__ not in made:
            made[annotation.__name__] = _make_component(annotation)
            waiting += _hints(annotation).values()
    return dict(sorted(made.items()))


def _or_null(annotations: list[Any]) -> Schema:
    (annotation,) = annotations  # the V2 types have optional values, and no other unions
    schema = schema_of(annotation)
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _is_component(annotation: Any) -> bool:
    return isinstance(annotation, type) and (
        attrs.has(annotation) or issubclass(annotation, enum.Enum)
    )


def _hints(cls: Any) -> dict[str, Any]:
    if cls is TensorData or not attrs.has(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {name: hints[name] for name in known_names(cls)}


def _make_component(cls: Any) -> Schema:
    text, attributes = _read_docstring(cls)
    if issubclass(cls, enum.Enum):
        return {"type": "string", "description": text, "enum": [each.value for each in cls]}
    if cls is TensorData:
        return _make_tensor_data()
    properties = {}
    for name, hint in _hints(cls).items():
        described = {"description": attributes[name]} if name in attributes else {}
        properties[name] = {**schema_of(hint), **described}
    schema: Schema = {"type": "object", "description": text, "properties": properties}
    required = [
        field.name
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING and field.name in properties
    ]
    if required:
        schema["required"] = required
    if issubclass(cls, OpenNames):
        schema["additionalProperties"] = True
    return schema


def _make_tensor_data() -> Schema:
    """The one type whose annotation says nothing: elements flat or nested, or a bare string."""
    elements = {"type": ["number", "boolean", "string", "null", "array"]}
    return {
        "description": "The elements, row-major; flat, or nested as the shape says. BYTES are "
        "strings, and one element may be a bare string. `null` is NaN, of floats only.",
        "anyOf": [{"type": "array", "items": elements}, {"type": "string"}],
    }


def _read_docstring(cls: Any) -> tuple[str, dict[str, str]]:
    """What a class is for, and what each of its attributes is, as Markdown."""
    text, _, attributes = (inspect.getdoc(cls) or "").replace("``", "`").partition("Attributes:\n")
    found = _ATTRIBUTE.findall(attributes)
    return " ".join(text.split()), {name: " ".join(each.split()) for name, each in found}
