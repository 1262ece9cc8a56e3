"""Which headers a runtime may send, and in what spelling."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

logger = logging.getLogger("mlserver")

#: Hop-by-hop headers (RFC 9110, section 7.6.1), those that frame a body, the request's id.
_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "inference-header-content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)
#: A header name (RFC 9110, section 5.1).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Printable ASCII, all that HTTP and gRPC carry everywhere; "%" too is kept as it is.
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def sendable(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """The headers of an answer that a client may get.

    Framing, hop-by-hop and ``grpc-`` headers, and names or values with control characters,
    are left out with a warning; other characters outside ASCII are percent-encoded.
    """
    if not headers:
        return {}
    if _is_plain(headers):
        return dict(headers)
    sent = {}
    for name, value in headers.items():
        text = str(value)
        if not isinstance(name, str) or _is_ours(name) or _CONTROL.search(text):
            logger.warning("A runtime set the response header %r, which is not sent", name)
            continue
        sent[name] = text if text.isascii() else percent_encode(text)
    return sent


def _is_plain(headers: Mapping[str, Any]) -> bool:
    """Can they all go out as they are? Looks at them together, which takes a fifth of the time."""
    try:
        values = "".join(headers.values())
        return values.isascii() and values.isprintable() and not any(map(_is_ours, headers))
    except TypeError:  # a number, or None
        return False


def percent_encode(text: str) -> str:
    """Any text as printable ASCII; bytes that were no UTF-8 keep their value."""
    try:
        data = text.encode("utf-8", "surrogateescape")  # bytes that were no UTF-8 come back
    except UnicodeEncodeError:
        data = text.encode("utf-8", "replace")
    return quote(data, _PRINTABLE)


@functools.lru_cache(maxsize=1024)
def _is_ours(name: str) -> bool:
    if not _NAME.fullmatch(name):
        return True
    lower = name.lower()
    return lower in _OURS or lower.startswith("grpc-")
