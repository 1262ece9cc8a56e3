from __future__ import annotations

import attrs
import pytest

from mlserver_core.repositories.interfaces import Listing


def test_a_listing_is_a_frozen_fact():
    listing = Listing(())
    assert listing.warnings == ()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        listing.models = ()
