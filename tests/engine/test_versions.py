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
    newest_first = oldest_first[::-1]
    newest_first.sort(key=natural_key)
    assert newest_first == oldest_first


def test_versions_of_any_mixture_can_be_compared():
    mixed = ["v1", "1", "1a", "a1", "", "1.0", "-", "10", "é", "²"]
    ordered = sorted(mixed, key=natural_key)
    assert ordered[0] == ""
    assert sorted(ordered) == sorted(mixed)
