"""A repository class of the user's own, named by ``model_repository_implementation``."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from mlserver_core.errors import ModelNotFound, StartupError
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.settings import ModelSettings


@attrs.frozen
class CustomRepository:
    """Asks an object with MLServer's repository methods ``list`` and ``find``.

    Each may be ``async`` or plain, and returns a list of ModelSettings (or a ``Listing``).

    Attributes:
        source: that object.
    """

    source: Any

    async def list(self) -> Listing:
        """What the object's ``list`` returns."""
        return _to_listing(await _ask(self.source.list))

    async def find(self, name: str) -> Listing:
        """What the object's ``find`` returns; empty where it raises ModelNotFound."""
        try:
            return _to_listing(await _ask(self.source.find, name))
        except ModelNotFound:
            return Listing(())


def make_custom_repository(
    implementation: str, root: str, arguments: Mapping[str, Any]
) -> CustomRepository:
    """Imports the class and makes its object.

    Args:
        implementation: the dotted path of the class.
        root: what it gets as ``root``.
        arguments: its other keyword arguments.

    Raises:
        StartupError: it cannot be imported or made; says why.
    """
    setting = f"model_repository_implementation {implementation!r}"
    try:
        found = pkgutil.resolve_name(implementation)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartupError(f"{setting} cannot be imported: {error}") from error
    missing = [name for name in ("list", "find") if not callable(getattr(found, name, None))]
    if missing:
        raise StartupError(f"{setting} has no method {' and no method '.join(missing)}")
    try:
        return CustomRepository(found(root=root, **arguments))
    except Exception as error:  # the user's own code
        text = f"{type(error).__name__}: {error}"
        raise StartupError(
            f"{setting} cannot be made with root={root!r} and "
            f"model_repository_implementation_args {dict(arguments)}: {text}"
        ) from error


async def _ask(function: Any, *arguments: Any) -> Any:
    answer = function(*arguments)
    return await answer if inspect.isawaitable(answer) else answer


def _to_listing(found: Listing | Iterable[ModelSettings]) -> Listing:
    return found if isinstance(found, Listing) else Listing(tuple(found))
