"""Where settings come from: a JSON file, a ``.env`` file, the environment, the command line."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import orjson

from mlserver_core.errors import SettingsError
from mlserver_core.settings.fields import kinds_of

#: Variables Kubernetes makes for every service of a namespace, a service "mlserver" included.
_SERVICE_LINK = re.compile(
    r"MLSERVER_(.+_)?(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_TRUE = frozenset({"1", "true", "yes", "y", "on", "t"})
_FALSE = frozenset({"0", "false", "no", "n", "off", "f"})


@attrs.frozen(kw_only=True)
class Source:
    """Values from one place, of which later places may win.

    Attributes:
        name: the place, for messages: a file's path, or "environment".
        values: by field name, as plain JSON data.
        keys: the name each field has in that place, where it is another; for a field inside
            an object its path (``parameters.uri``).
        unknown: keys of that place that belong to no field.
    """

    name: str
    values: dict[str, Any]
    keys: dict[str, str] = attrs.field(factory=dict)
    unknown: tuple[str, ...] = ()

    def where(self, field: str, path: str = "") -> str:
        """How this place names a field, and the ``path`` below it (``[0].shape``)."""
        dot = "." if path and not path.startswith("[") else ""
        below = f"{dot}{path}"
        key = self.keys.get(field + below) or self.keys.get(field, field) + below
        return f"{self.name}: {key}"


def is_there(path: Path) -> bool:
    """Is there anything of that name?

    Raises:
        SettingsError: its folder may not be looked into.
    """
    try:
        return path.exists()
    except OSError as error:
        raise SettingsError((f"{path}: cannot be read: {error.strerror}",)) from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        SettingsError: the file cannot be read, is no JSON, or holds no object.
    """
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError((f"{path}: cannot be read: {error.strerror}",)) from None
    except orjson.JSONDecodeError as error:
        raise SettingsError((f"{path}: is not valid JSON: {error}",)) from None
    if not isinstance(value, dict):
        raise SettingsError((f"{path}: expected an object with settings at the top",))
    return value


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file: ``NAME=value`` lines, quotes and ``#`` comments.

    Raises:
        SettingsError: the file cannot be read, or a line is something else.
    """
    if not is_there(path) or path.is_dir():  # some call their virtual environment so
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError((f"{path}: cannot be read: {error}",)) from None
    variables = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError((f"{path}:{number}: expected NAME=value, got {text!r}",))
        variables[name.strip()] = _unquote(value.strip())
    return variables


def _unquote(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        return value[1:end] if end > 0 else value
    return value.partition(" #")[0].rstrip()


def from_variables(name: str, variables: Mapping[str, str], prefix: str, cls: type) -> Source:
    """The values that environment variables give to the fields of an attrs class.

    Variable names are the prefix and the field's name, in any case. A value is parsed as the
    field's type says: lists and objects as JSON. What cannot be parsed stays text, for the
    type check to refuse.
    """
    kinds = kinds_of(cls)
    fields = {field.name for field in attrs.fields(cls) if "help" in field.metadata}
    values, keys, unknown = {}, {}, []
    for variable, text in variables.items():
        upper = variable.upper()
        if not upper.startswith(prefix) or is_service_link(variable, text):
            continue
        field = upper.removeprefix(prefix).lower()
        if field in fields:
            values[field] = parse_text(text, kinds[field])
            keys[field] = variable
        else:
            unknown.append(variable)
    return Source(name=name, values=values, keys=keys, unknown=tuple(unknown))


def is_service_link(variable: str, value: str) -> bool:
    """Is this a variable that Kubernetes made for a service, rather than a setting?"""
    if not variable.upper().startswith("MLSERVER_"):
        return False
    if re.match(r"(tcp|udp|sctp)://", value) and "PORT" in variable.upper():
        return True
    return bool(_SERVICE_LINK.fullmatch(variable.upper()))


def parse_text(text: str, kind: Any) -> Any:
    """``text`` as plain data of the type ``kind``; unchanged where it does not look like it."""
    options = typing.get_args(kind) if _is_union(kind) else (kind,)
    if type(None) in options and text.strip() == "":
        return None
    options = tuple(option for option in options if option is not type(None))
    if bool in options and text.strip().lower() in _TRUE | _FALSE:
        return text.strip().lower() in _TRUE
    for number in (int, float):
        if number in options:
            try:
                return number(text)
            except ValueError:
                continue
    if any(option in (str, Any) for option in options) and not text.lstrip().startswith("{"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)
