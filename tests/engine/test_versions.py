from __future__ import annotations

import pytest

from mlserver_core.engine.versions import natural_key


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["v9", "v10"],
        ["2", "10"],
        ["1.9.9", "1.10.0", "2.0"],
        ["v1", "v1.1", "v2"],
        ["2024-01-09", "2024-01-10", "2024-11-01"],
        ["", "1"],
        ["9", "10", "alpha", "v1"],
        ["1", "1-beta"],
    ],
)
def test_versions_are_ordered_as_a_person_would(oldest_first):
    assert sorted(reversed(oldest_first), key=natural_key) == oldest_first


def test_versions_of_any_mixture_can_be_compared():
    mixed = ["v1", "1", "1a", "a1", "", "1.0", "-", "10", "é", "²"]
    assert sorted(sorted(mixed, key=natural_key, reverse=True), key=natural_key)[0] == ""
