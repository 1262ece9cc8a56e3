"""Which of two versions is newer."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+)|(\D+)")


def natural_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Orders versions as a person would: ``10`` after ``2``, ``v10`` after ``v9``."""
    return tuple(
        (0, int(number), "") if number else (1, 0, text) for number, text in _PART.findall(version)
    )
