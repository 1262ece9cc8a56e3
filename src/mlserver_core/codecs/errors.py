"""What can go wrong with codecs, under MLServer's names."""

from __future__ import annotations

from mlserver_core.errors import CodecError, InvalidRequest, RuntimeFailed

__all__ = ["CodecError", "CodecNotFound", "InputsNotFound", "OutputNotFound"]


class CodecNotFound(CodecError):
    """No codec can encode this payload; the author of the runtime must act."""


class InputsNotFound(InvalidRequest):
    """The request has an input that the model does not take, or lacks one; the caller must act."""


class OutputNotFound(RuntimeFailed):
    """``predict`` returned what its annotation does not say; its author must act."""
