"""What ``decode_args`` reads from a function's signature, once per model."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin

import attrs
import numpy as np

from mlserver_core.codecs import hints
from mlserver_core.codecs.errors import InputsNotFound
from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.codecs.json import JSONCodec
from mlserver_core.codecs.lookup import Codecs
from mlserver_core.codecs.string import StringCodec
from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.types import Parameters, RequestInput, ResponseOutput

#: Arguments that get something of the request, and the types they may ask for.
_OF_THE_REQUEST: dict[str, tuple[Any, ...]] = {"headers": (dict,), "parameters": (dict, Parameters)}
#: Types of one element rather than of a tensor, and the codec of the tensor it comes in.
SINGLE: dict[Any, type[InputCodec]] = {str: StringCodec, dict: JSONCodec}


@attrs.frozen(kw_only=True)
class Argument:
    """One argument of the function.

    Attributes:
        name: its name, which is also the input's.
        kind: the type it wants, without None.
        codec: decodes the input of that name; None where no input can be it.
        others: by content type, the codecs that decode to the same type.
        whole: decodes all inputs that no other argument takes.
        of_the_request: does it get something of the request when no input has its name?
        required: has it neither a default nor None?
        has_default: may it be left out of the call?
    """

    name: str
    kind: Any
    codec: type[InputCodec] | None = None
    others: dict[str, type[InputCodec]] = attrs.field(factory=dict)
    whole: type[RequestCodec] | None = None
    of_the_request: bool = False
    required: bool = True
    has_default: bool = False

    def decode(self, tensor: RequestInput, codecs: Codecs) -> Any:
        """The value of the input of that name.

        The client's content type counts where it names a codec of the wanted type.

        Raises:
            InvalidRequest: an unknown content type, or not one element where one is wanted.
            CodecError: the input cannot be decoded.
        """
        content_type = tensor.parameters.content_type if tensor.parameters else None
        codec = self.codec
        if content_type:
            codec = self.others.get(content_type, codec)
            if content_type not in self.others:
                codecs.input_codec(content_type, f"input {tensor.name!r}")
        assert codec is not None  # noqa: S101  # inputs without one are not decoded here
        value = codec.decode_input(tensor)
        if self.kind in SINGLE and codec is SINGLE[self.kind]:
            return self._only(value)
        if isinstance(self.kind, type) and isinstance(value, np.ndarray):
            return value.view(self.kind)
        return value

    def _only(self, values: list[Any]) -> Any:
        expected = "one text" if self.kind is str else "one JSON object"
        if len(values) != 1:
            raise InvalidRequest(
                f"input {self.name!r}: expected {expected}, got {len(values)} elements"
            )
        value = values[0]
        if isinstance(value, self.kind) or (value is None and not self.required):
            return value
        found = "null" if value is None else f"a {type(value).__name__}"
        raise InvalidRequest(f"input {self.name!r}: expected {expected}, got {found}")


@attrs.frozen(kw_only=True)
class Returned:
    """One value that the function returns.

    Attributes:
        hint: its type.
        codec: encodes it as one output.
        single: encodes a list of it alone as one output.
        whole: encodes it as several outputs with names of their own.
    """

    hint: Any
    codec: type[InputCodec] | None = None
    single: type[InputCodec] | None = None
    whole: type[RequestCodec] | None = None

    @classmethod
    def of_value(cls, value: Any, codecs: Codecs) -> Returned:
        """For a function that does not say what it returns; raises CodecNotFound."""
        kind = type(value)
        for codec in codecs.inputs.items().values():
            if codec.can_encode(value):
                return cls(hint=kind, codec=codec)
        if kind in SINGLE:
            return cls(hint=kind, single=SINGLE[kind])
        return cls(hint=kind, whole=codecs.request_codec_for(value))

    def fits(self, value: Any) -> bool:
        """Is ``value`` what the annotation says?"""
        codec = self.codec or self.whole
        return hints.holds(value, self.hint) or (codec is not None and codec.can_encode(value))

    def encode(self, name: str, value: Any) -> tuple[list[ResponseOutput], Parameters | None]:
        """The outputs, and the parameters of a response that has no other; raises CodecError."""
        if self.codec is not None:
            return [self.codec.encode_output(name, value)], None
        if self.single is not None:
            return [self.single.encode_output(name, [value])], None
        assert self.whole is not None  # noqa: S101  # one of the three is there
        response = self.whole.encode_response("", value)
        return response.outputs, response.parameters


@attrs.frozen(kw_only=True)
class Signature:
    """A function's arguments, and what it returns.

    Attributes:
        function: its name, for errors.
        codecs: what it was made with.
        arguments: by name, in order.
        returns: what each returned value is; None where the function does not say.
    """

    function: str
    codecs: Codecs
    arguments: dict[str, Argument]
    returns: tuple[Returned, ...] | None

    @classmethod
    def read(cls, function: Callable[..., Any], codecs: Codecs) -> Signature:
        """Reads the annotations of a method and finds a codec for each.

        Raises:
            RuntimeFailed: an annotation is missing, cannot be read, or no codec has its type;
                names the argument. The function's author must act.
        """
        name = function.__qualname__
        try:
            annotations = typing.get_type_hints(function)
        except (NameError, TypeError, AttributeError) as error:
            raise RuntimeFailed(
                f"decode_args cannot read the annotations of {name}: {error}; "
                "import what they name where the module runs, not under TYPE_CHECKING"
            ) from None
        parameters = list(inspect.signature(function).parameters.values())[1:]  # without self
        arguments = {
            each.name: _read_argument(name, each, annotations, codecs) for each in parameters
        }
        hints_of_values = _read_returns(annotations)
        returns = None
        if hints_of_values is not None:
            returns = tuple(
                _read_returned(name, position, hint, codecs)
                for position, hint in enumerate(hints_of_values)
            )
        return cls(function=name, codecs=codecs, arguments=arguments, returns=returns)

    def whole(self) -> Argument | None:
        """The first argument that takes all inputs no other one does."""
        return next((each for each in self.arguments.values() if each.whole), None)

    def fill_missing(self, values: dict[str, Any], available: list[str]) -> None:
        """Puts None where an argument may be None; defaults stay Python's business.

        Raises:
            InputsNotFound: an argument has no value and needs one.
        """
        for argument in self.arguments.values():
            if argument.name in values or argument.has_default:
                continue
            if argument.required:
                raise not_found([argument.name], available)
            values[argument.name] = None


def not_found(names: list[str], available: list[str]) -> InputsNotFound:
    """The error for inputs that are not there, in MLServer's words."""
    wanted, given = (", ".join(map(repr, each)) for each in (names, available))
    rest = f"Available inputs are {given}." if available else "There are no available inputs."
    return InputsNotFound(f"Input {wanted} was not found. {rest}")


def _read_argument(
    function: str, parameter: inspect.Parameter, annotations: dict[str, Any], codecs: Codecs
) -> Argument:
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise RuntimeFailed(
            f"decode_args: {function}: argument {name!r} cannot be given by name; "
            "every argument is an input of that name"
        )
    if name not in annotations:
        raise RuntimeFailed(
            f"decode_args: {function}: argument {name!r} has no annotation; say its type, such as "
            "numpy.ndarray"
        )
    hint, optional = hints.without_none(annotations[name])
    kind = get_origin(hint) or hint
    has_default = parameter.default is not parameter.empty
    codec = codecs.input_codec_of_hint(hint) or SINGLE.get(kind)
    whole = None if codec else codecs.request_codec_of_hint(hint)
    of_the_request = kind in _OF_THE_REQUEST.get(name, ())
    if codec is None and whole is None and not of_the_request:
        raise RuntimeFailed(
            f"decode_args: {function}: no codec decodes argument {name!r} to {_show(hint)}; "
            f"known are {_known(codecs)}"
        )
    return Argument(
        name=name,
        kind=kind,
        codec=codec,
        others={
            content_type: each
            for content_type, each in codecs.inputs.items().items()
            if each.TypeHint is not None and hints.covers(each.TypeHint, hint)
        },
        whole=whole,
        of_the_request=of_the_request,
        required=not (optional or has_default),
        has_default=has_default,
    )


def _read_returns(annotations: dict[str, Any]) -> tuple[Any, ...] | None:
    if "return" not in annotations:
        return None
    hint, _ = hints.without_none(annotations["return"])
    if get_origin(hint) is tuple:
        return tuple(hints.without_none(each)[0] for each in get_args(hint))
    return None if hint is tuple or hint is Any else (hint,)


def _read_returned(function: str, position: int, hint: Any, codecs: Codecs) -> Returned:
    codec = codecs.input_codec_of_hint(hint)
    single = None if codec else SINGLE.get(get_origin(hint) or hint)
    whole = None if codec or single else codecs.request_codec_of_hint(hint)
    if not (codec or single or whole):
        raise RuntimeFailed(
            f"decode_args: {function} returns {_show(hint)} at position {position}, which no "
            f"codec has; known are {_known(codecs)}"
        )
    return Returned(hint=hint, codec=codec, single=single, whole=whole)


def _known(codecs: Codecs) -> str:
    known = [each.TypeHint for each in codecs.inputs.items().values()]
    known += [each.TypeHint for each in codecs.requests.items().values()]
    named = dict.fromkeys(_show(hint) for hint in (*known, *SINGLE) if hint is not None)
    return ", ".join(named)


def _show(hint: Any) -> str:
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__qualname__ if hint.__module__ == "builtins" else _dotted(hint)
    return str(hint)


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
