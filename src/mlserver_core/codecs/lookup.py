"""Which codec: by content type, or by what the payload is."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.errors import CodecError, InvalidRequest
from mlserver_core.hooks.registry import Registry

T = TypeVar("T")


@attrs.define
class Codecs:
    """The codecs of one server.

    Attributes:
        inputs: codecs of single tensors, by content type.
        requests: codecs of whole requests, by content type.
    """

    inputs: Registry[type[InputCodec]] = attrs.field(factory=lambda: Registry("input codec"))
    requests: Registry[type[RequestCodec]] = attrs.field(factory=lambda: Registry("request codec"))

    def input_codec(self, content_type: str, where: str) -> type[InputCodec] | None:
        """The codec of single tensors; None when only whole requests have this type.

        Args:
            content_type: as in ``parameters.content_type``.
            where: what carries it, for the error.

        Raises:
            InvalidRequest: an unknown content type; lists the known ones.
        """
        self._check(content_type, where)
        return self.inputs.get(content_type)

    def request_codec(self, content_type: str, where: str) -> type[RequestCodec] | None:
        """The codec of whole requests; arguments and errors as ``input_codec``."""
        self._check(content_type, where)
        return self.requests.get(content_type)

    def input_codec_for(
        self, payload: Any, default: type[InputCodec] | None = None
    ) -> type[InputCodec]:
        """The first codec that can encode ``payload`` as a tensor, else ``default``.

        Raises:
            CodecError: there is none.
        """
        return _first(self.inputs, payload, default)

    def request_codec_for(
        self, payload: Any, default: type[RequestCodec] | None = None
    ) -> type[RequestCodec]:
        """As ``input_codec_for``, for whole responses."""
        return _first(self.requests, payload, default)

    def _check(self, content_type: str, where: str) -> None:
        if content_type not in self.inputs and content_type not in self.requests:
            known = sorted({*self.inputs, *self.requests})
            raise InvalidRequest(
                f"{where} has the unknown content type {content_type!r}; "
                f"known are {', '.join(known)}"
            )


def _first(registry: Registry[T], payload: Any, default: T | None) -> T:
    for codec in registry.items().values():
        if codec.can_encode(payload):  # type: ignore[attr-defined]  # both kinds have it
            return codec
    if default is not None:
        return default
    raise CodecError(
        f"no {registry.kind} can encode {type(payload).__name__}; known are {', '.join(registry)}"
    )
