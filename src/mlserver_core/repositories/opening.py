"""Which repository the settings mean, and what it has when the server starts."""

from __future__ import annotations

import logging

from mlserver_core.errors import SettingsError, StartupError
from mlserver_core.hooks.registry import Registry
from mlserver_core.repositories.custom import make_custom_repository
from mlserver_core.repositories.interfaces import Listing, Repository, RepositoryFactory
from mlserver_core.settings import Settings

logger = logging.getLogger("mlserver")


def open_repository(
    settings: Settings, repositories: Registry[RepositoryFactory], *, strict: bool
) -> Repository:
    """The repository of ``model_repository_root``.

    Args:
        settings: of the server.
        repositories: what plugins have registered, by URI scheme.
        strict: an unknown key in the settings of a model is an error.

    Raises:
        StartupError: no plugin reads such a root, or the user's own class cannot be used.
    """
    root = settings.model_repository_root
    if settings.model_repository_implementation:
        return make_custom_repository(
            settings.model_repository_implementation,
            root,
            settings.model_repository_implementation_args,
        )
    scheme = root.partition("://")[0] if "://" in root else "file"
    make = repositories.get(scheme)
    if make is None:
        raise StartupError(
            f"model_repository_root {root!r}: no plugin reads {scheme!r}; "
            f"known are {', '.join(repositories)}"
        )
    return make(root, strict=strict)


async def list_at_start(settings: Settings, repository: Repository) -> Listing:
    """The models to load at start; none where ``load_models_at_startup`` is false.

    Raises:
        SettingsError: settings of a model cannot be used, and ``on_load_error`` is ``fail``.
        StartupError: the repository cannot be listed.
    """
    if not settings.load_models_at_startup:
        return Listing(())
    root = settings.model_repository_root
    try:
        listing = await repository.list()
    except (SettingsError, StartupError):
        raise
    except Exception as error:
        text = f"model_repository_root {root!r} cannot be listed"
        raise StartupError(f"{text}: {type(error).__name__}: {error}") from error
    for warning in listing.warnings:
        logger.warning("%s", warning)
    if listing.unreadable and settings.on_load_error == "fail":
        raise SettingsError(tuple(text for each in listing.unreadable for text in each.problems))
    if not listing.models and not listing.unreadable:
        logger.warning("There is no model-settings.json in or below %s: nothing to serve", root)
    return listing
