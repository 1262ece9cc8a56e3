"""What is asked of the model repository (Triton's model repository extension)."""

from __future__ import annotations

import logging

from mlserver_core.engine.failures import cut_paths
from mlserver_core.engine.model_table import ModelEntry, ModelTable
from mlserver_core.engine.versions import natural_key
from mlserver_core.errors import ModelNotFound, RuntimeFailed
from mlserver_core.repositories.interfaces import Listing, Repository
from mlserver_core.types import RepositoryIndexResponseItem, State

logger = logging.getLogger("mlserver")


async def make_index(
    table: ModelTable, repository: Repository | None, *, ready: bool
) -> list[RepositoryIndexResponseItem]:
    """Every version of every model that is known or in the repository, and its state.

    Args:
        table: the models that are known.
        repository: where models come from; what it has and the table has not is UNAVAILABLE.
        ready: leave out what cannot answer.
    """
    if ready:
        return [_to_item(entry) for entry in table if entry.ready]
    items = [_to_item(entry) for entry in table]
    if repository is not None:
        items += _not_loaded(table, await _list(repository))
    return sorted(items, key=lambda item: (item.name, natural_key(item.version or "")))


async def find_model(repository: Repository | None, name: str) -> Listing:
    """What the repository has of one model; never empty.

    Raises:
        ModelNotFound: it has no such model.
        RuntimeFailed: it cannot be asked; says why.
    """
    if repository is None:
        raise ModelNotFound(name)
    try:
        listing = await repository.find(name)
    except Exception as error:
        logger.exception("The model repository failed to find %r", name)
        text = f"the model repository failed: {type(error).__name__}: {error}"
        raise RuntimeFailed(cut_paths(text)) from error
    for warning in listing.warnings:
        logger.warning("%s", warning)
    if not listing.models and not listing.unreadable:
        raise ModelNotFound(name)
    return listing


def _to_item(entry: ModelEntry) -> RepositoryIndexResponseItem:
    state, reason = entry.state, entry.reason
    if entry.serving is not None and not entry.serving.available():
        reason = entry.serving.reason()
    if state is State.READY and not entry.ready:  # the runtime says so of itself
        state = State.UNAVAILABLE
    return RepositoryIndexResponseItem(
        name=entry.settings.name,
        version=entry.settings.version,
        state=state,
        reason=cut_paths(reason),
    )


def _not_loaded(table: ModelTable, listing: Listing) -> list[RepositoryIndexResponseItem]:
    items = [
        RepositoryIndexResponseItem(
            name=model.name, version=model.version, state=State.UNAVAILABLE, reason=""
        )
        for model in listing.models
        if table.get(model.name, model.version) is None
    ]
    items += [
        RepositoryIndexResponseItem(
            name=each.name, state=State.UNAVAILABLE, reason=cut_paths("; ".join(each.problems))
        )
        for each in listing.unreadable
        if not table.entries(each.name)
    ]
    return items


async def _list(repository: Repository) -> Listing:
    try:
        return await repository.list()
    except Exception:  # what serves is told all the same
        logger.exception("The model repository cannot be listed")
        return Listing(())
