"""Content type ``datetime``: lists of dates with times, sent as ISO 8601 text."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from mlserver_core.codecs.elements import ElementCodec

_FRACTION = re.compile(r"[.,](\d+)")


class DatetimeCodec(ElementCodec):
    """One BYTES tensor of ISO 8601 text as a list of ``datetime.datetime``.

    Times with an offset keep it; times without one stay without. Nanoseconds do not fit and
    are refused: columns of a DataFrame keep them. A missing value, which gRPC makes an empty
    text of, is ``None``.
    """

    ContentType = "datetime"
    TypeHint = list[str | dt.datetime]

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """A list of nothing but ``datetime``."""
        return isinstance(payload, list) and all(isinstance(each, dt.datetime) for each in payload)

    @classmethod
    def write_element(cls, value: Any) -> str:
        """A ``datetime`` as ISO 8601; text is taken to be that already, and checked."""
        if isinstance(value, (str, bytes)):
            text = value.decode() if isinstance(value, bytes) else value
            cls.read_element(text)
            return text
        if not isinstance(value, dt.datetime):
            raise TypeError(f"expected a datetime, got {type(value).__name__}")
        return value.isoformat()

    @classmethod
    def read_element(cls, text: str) -> dt.datetime | None:
        """ISO 8601 as a ``datetime``; None for an empty text."""
        if not text:
            return None
        fraction = _FRACTION.search(text)
        digits = fraction[1] if fraction else ""
        if digits[6:].strip("0"):
            raise ValueError(f"a datetime holds microseconds, got {text[:40]!r}")
        # Python 3.10 takes 3 or 6 digits, and does not know the Z.
        plain = _FRACTION.sub("." + digits[:6].ljust(6, "0"), text, count=1)
        try:
            return dt.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", plain))
        except ValueError:
            raise ValueError(
                f"expected a time as ISO 8601, such as 2026-01-31T12:00:00+00:00, got {text[:40]!r}"
            ) from None
