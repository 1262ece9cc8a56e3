"""Which model's custom handler answers a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import attrs

from mlserver_core.custom_handlers import CustomHandler
from mlserver_core.errors import RuntimeFailed, named

_VARIABLE = re.compile(r"{(\w+)(:path)?}")


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """A custom handler of a loaded model; another load of the model has routes of its own.

    Attributes:
        model: the model's name.
        version: its version; None for an unversioned model.
        handler: the name of the model's method.
        function: that method, for its signature and annotations; None where the model lives in
            another process.
        custom: path and verb.
    """

    model: str
    version: str | None
    handler: str
    function: Callable[..., Any] | None
    custom: CustomHandler

    @property
    def key(self) -> tuple[str, str]:
        """Verb and path, with the names of the path's variables left out: two routes of equal
        key would answer the same requests.
        """
        path = _VARIABLE.sub(lambda found: "{:path}" if found[2] else "{}", self.custom.rest_path)
        return self.custom.rest_method, path

    @property
    def variables(self) -> Collection[str]:
        """The names of the path's variables."""
        return self._pattern.groupindex.keys()

    def match(self, path: str) -> dict[str, str] | None:
        """The path's variables by name, or None when it is another path.

        Args:
            path: decoded, except for ``%2F`` and ``%25``: a slash in a value is none between parts.
        """
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        return {
            name: value.replace("%2F", "/").replace("%25", "%")
            for name, value in found.groupdict().items()
        }

    _pattern: re.Pattern[str] = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(lambda self: _compile(self.custom.rest_path), takes_self=True),
    )


@attrs.frozen
class RouteMatch:
    """A route that answers a path.

    Attributes:
        route: that route.
        variables: what the path's variables stand for.
    """

    route: Route
    variables: dict[str, str]


@attrs.frozen
class RouteTable:
    """Every custom handler of every model that serves; replaced whole, as the model table is.

    Attributes:
        routes: those without variables in their path first, so that they win.
    """

    routes: tuple[Route, ...] = ()

    @classmethod
    def of(cls, routes: Iterable[Route]) -> RouteTable:
        """A table of routes; of several with equal keys the first one answers."""
        kept: dict[tuple[str, str], Route] = {}
        for route in routes:
            kept.setdefault(route.key, route)
        return cls(tuple(sorted(kept.values(), key=lambda route: "{" in route.custom.rest_path)))

    def check(self, routes: Iterable[Route]) -> None:
        """Looks whether a model may bring these routes along.

        Raises:
            RuntimeFailed: another model, or this one twice, answers the same requests.
        """
        seen = {route.key: route for route in self.routes}
        own: dict[tuple[str, str], Route] = {}
        for route in routes:
            other = own.setdefault(route.key, route)
            if other is route:
                other = seen.get(route.key, route)
                if other.model == route.model:  # another version, or the one that it replaces
                    continue
            raise RuntimeFailed(
                f"the custom handler {route.handler!r} answers {' '.join(route.key)}, as "
                f"{other.handler!r} of model {named(other.model, other.version)} does; give one "
                "of them another rest_path"
            )

    def find(self, method: str, path: str) -> RouteMatch | None:
        """The route for a verb and a path; GET routes answer HEAD as well."""
        wanted = "GET" if method == "HEAD" else method
        for route in self.routes:
            if route.custom.rest_method == wanted:
                variables = route.match(path)
                if variables is not None:
                    return RouteMatch(route, variables)
        return None

    def methods(self, path: str) -> set[str]:
        """The verbs that some route takes for a path."""
        return {route.custom.rest_method for route in self.routes if route.match(path) is not None}


def _compile(path: str) -> re.Pattern[str]:
    path = path.replace("%", "%25")
    pattern, end = "", 0
    for found in _VARIABLE.finditer(path):
        pattern += re.escape(path[end : found.start()])
        pattern += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})"
        end = found.end()
    return re.compile(pattern + re.escape(path[end:]))
