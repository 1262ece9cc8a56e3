"""Ids for requests that come without one."""

from __future__ import annotations

import functools
import os
import random


def make_request_id() -> str:
    """A random id in the form of a UUID of version 4 (RFC 9562, section 5.4).

    ``uuid.uuid4`` asks the system for random bytes each time, which takes longer than all else
    here. Ids have to differ; nobody has to be unable to guess them.
    """
    digits = f"{_source().getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@functools.cache
def _source() -> random.Random:
    """Random numbers of our own: models seed those of the module ``random``."""
    source = random.Random()  # noqa: S311  # which the system seeds
    # A child of this process would go on with the same numbers.
    os.register_at_fork(after_in_child=source.seed)
    return source
