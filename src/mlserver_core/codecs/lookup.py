"""Which codec: by content type, by what the payload is, or by a type hint."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any, TypeVar

import attrs

from mlserver_core.codecs import hints
from mlserver_core.codecs.errors import CodecNotFound
from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.codecs.registration import is_marked_for_requests
from mlserver_core.errors import CodecError, InvalidRequest
from mlserver_core.hooks.registry import LayeredRegistry, Registry

T = TypeVar("T")

logger = logging.getLogger("mlserver")


@attrs.define
class Codecs:
    """The codecs of one server.

    Attributes:
        inputs: codecs of single tensors, by content type.
        requests: codecs of whole requests, by content type.
    """

    inputs: Registry[type[InputCodec]] = attrs.field(factory=lambda: Registry("input codec"))
    requests: Registry[type[RequestCodec]] = attrs.field(factory=lambda: Registry("request codec"))
    #: Models are made in threads of their own.
    offering: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

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
            CodecNotFound: there is none.
        """
        return _first(self.inputs, payload, default)

    def request_codec_for(
        self, payload: Any, default: type[RequestCodec] | None = None
    ) -> type[RequestCodec]:
        """As ``input_codec_for``, for whole responses."""
        return _first(self.requests, payload, default)

    def input_codec_of_hint(self, hint: Any) -> type[InputCodec] | None:
        """The first codec whose ``TypeHint`` is ``hint``, else the first that covers it."""
        return _first_of_hint(self.inputs, hint)

    def request_codec_of_hint(self, hint: Any) -> type[RequestCodec] | None:
        """As ``input_codec_of_hint``, for whole requests."""
        return _first_of_hint(self.requests, hint)

    def add_marked(self, plugin: str, marked: Iterable[Any]) -> None:
        """Registers what ``find_marked`` found in a plugin, unless its hook has done so already.

        Raises:
            PluginError: another plugin has a codec of that name; names both.
        """
        for codec in marked:
            registry = self.registry_of(codec)
            if registry.get(codec.ContentType) is not codec:
                with registry.owned_by(plugin):
                    registry.add(codec.ContentType, codec)

    def for_model(self, name: str, marked: Iterable[Any]) -> ModelCodecs:
        """The codecs as one model sees them: by content type its own before these.

        Where a payload or a type hint fits several, plugins' codecs come first, then the
        model's own, then those of other models, as MLServer has them in order of registration.

        The model's own ones are also offered to these, for other models, until
        ``ModelCodecs.withdraw``. A name that is taken here stays whose it is, with a warning.

        Args:
            name: the model's name.
            marked: what ``find_marked`` found in its modules.

        Raises:
            CodecError: two of the model's codecs have one content type; names both.
        """
        made = ModelCodecs(
            LayeredRegistry(self.inputs.kind, below=self.inputs),
            LayeredRegistry(self.requests.kind, below=self.requests),
            server=self,
        )
        own: dict[tuple[str, str], Any] = {}
        for codec in marked:
            registry = made.registry_of(codec)
            other = own.setdefault((registry.kind, codec.ContentType), codec)
            if other is not codec:
                raise CodecError(
                    f"{_path(other)} and {_path(codec)} both register the {registry.kind} "
                    f"{codec.ContentType!r}; give one of them another ContentType"
                )
            registry.add(codec.ContentType, codec)
        with self.offering:
            for codec in own.values():
                made.offer(self.registry_of(codec), codec.ContentType, codec, name)
        return made

    def registry_of(self, codec: Any) -> Registry[Any]:
        """Where a marked codec belongs."""
        return self.requests if is_marked_for_requests(codec) else self.inputs

    def _check(self, content_type: str, where: str) -> None:
        if content_type not in self.inputs and content_type not in self.requests:
            known = sorted({*self.inputs, *self.requests})
            raise InvalidRequest(
                f"{where} has the unknown content type {content_type!r}; "
                f"known are {', '.join(known)}"
            )


@attrs.define
class ModelCodecs(Codecs):
    """The codecs of one model, on top of those of its server.

    Attributes:
        server: those of the server.
    """

    server: Codecs = attrs.field(kw_only=True)
    _offered: list[tuple[Registry[Any], str, Any]] = attrs.field(factory=list, init=False)

    def offer(self, registry: Registry[Any], content_type: str, codec: Any, model: str) -> None:
        """Lets other models have ``codec`` too, unless its name is taken."""
        me = f"model {model!r}"
        if registry.get(content_type) is codec and registry.owner(content_type) != me:
            return  # the plugin that brings it, or a model that shares it, has registered it
        if registry.offer(content_type, codec, me):
            self._offered.append((registry, content_type, codec))
            return
        logger.warning(
            "Model %r brings the %s %r, which %s has registered already: this model uses its own, "
            "the others keep that one",
            model,
            registry.kind,
            content_type,
            registry.owner(content_type),
        )

    def withdraw(self) -> None:
        """Takes back from the server what the model offered; to be called when it is unloaded."""
        with self.server.offering:
            for registry, content_type, codec in self._offered:
                registry.withdraw(content_type, codec)
            self._offered.clear()


def _path(codec: Any) -> str:
    kind = codec if isinstance(codec, type) else type(codec)
    return f"{kind.__module__}.{kind.__qualname__}"


def _first(registry: Registry[T], payload: Any, default: T | None) -> T:
    for codec in registry.items().values():
        if codec.can_encode(payload):  # type: ignore[attr-defined]  # both kinds have it
            return codec
    if default is not None:
        return default
    raise CodecNotFound(
        f"no {registry.kind} can encode {type(payload).__name__}; known are {', '.join(registry)}"
    )


def _first_of_hint(registry: Registry[T], hint: Any) -> T | None:
    codecs: list[Any] = list(registry.items().values())
    for fits in (hints.equal, hints.covers):
        for codec in codecs:
            if codec.TypeHint is not None and fits(codec.TypeHint, hint):
                return codec  # type: ignore[no-any-return]
    return None
