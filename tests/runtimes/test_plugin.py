from __future__ import annotations

import pkgutil

from mlserver_core.hooks.registry import Registry
from mlserver_core.model import MLModel
from mlserver_core.runtimes.plugin import mlserver_register_runtimes


def test_every_built_in_runtime_is_a_class_that_can_be_imported():
    registry = Registry("runtime")
    mlserver_register_runtimes(registry)
    assert list(registry) == ["echo"]
    for path in registry.items().values():
        assert issubclass(pkgutil.resolve_name(path), MLModel)
