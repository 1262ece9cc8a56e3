from __future__ import annotations

import pytest

from mlserver_core.errors import SettingsError, StartupError
from mlserver_core.hooks.registry import Registry
from mlserver_core.repositories.interfaces import Listing, Unreadable
from mlserver_core.repositories.opening import list_at_start, open_repository
from mlserver_core.settings import Settings


class Broken:
    error: Exception = OSError("the bucket is gone")

    async def list(self):
        raise self.error


class Unusable:
    async def list(self):
        return Listing((), unreadable=(Unreadable("m", ("m is broken",)),))


def test_the_scheme_of_the_root_says_which_plugin_is_asked():
    registry = Registry("repository")
    registry.add("memory", lambda root, *, strict: (root, strict))
    settings = Settings(model_repository_root="memory://x")
    assert open_repository(settings, registry, strict=True) == ("memory://x", True)
    with pytest.raises(StartupError, match="no plugin reads 's3'; known are memory"):
        open_repository(Settings(model_repository_root="s3://x"), registry, strict=False)


async def test_nothing_is_listed_when_start_up_loads_nothing():
    settings = Settings(load_models_at_startup=False)
    assert await list_at_start(settings, Broken()) == Listing(())


async def test_a_repository_that_cannot_be_listed_stops_the_start():
    with pytest.raises(StartupError, match="cannot be listed: OSError: the bucket is gone"):
        await list_at_start(Settings(), Broken())


async def test_settings_that_cannot_be_used_stop_the_start_unless_told_to_serve():
    with pytest.raises(SettingsError, match="m is broken"):
        await list_at_start(Settings(), Unusable())
    listing = await list_at_start(Settings(on_load_error="serve"), Unusable())
    assert listing.unreadable[0].name == "m"
