"""What travels beside a request and is no part of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class RequestContext:
    """Where a request came from.

    Attributes:
        transport: the name of the transport that received it.
        headers: HTTP headers or gRPC metadata, names in lower case.
        deadline: when the caller no longer waits, as ``time.monotonic()`` tells it; None for never.
    """

    transport: str = "engine"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    deadline: float | None = None
