"""Values as the bytes that travel between processes: JSON metadata, and a raw payload.

Sent are null, booleans, numbers, text, bytes, lists, tuples, dicts, numpy arrays, and those types
of this package that server and worker exchange. Nothing is pickled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.processes import inference_values, object_values, plain_values
from mlserver_core.executors.processes.packing import Packer, Unpacker, Unsendable

_PACK = plain_values.PACK | inference_values.PACK | object_values.PACK
_UNPACK = plain_values.UNPACK | inference_values.UNPACK | object_values.UNPACK
#: Begins a string of an escaped tree that stands for another one.
_ESCAPE = "\0"


def pack(body: Any) -> tuple[bytes, list[Any]]:
    """The metadata and the payload of a value.

    Returns:
        JSON, and the payload in pieces. Pieces may be views of the arrays that ``body`` has.

    Raises:
        RuntimeFailed: a value that cannot be sent; says where it is.
    """
    packer = Packer(_PACK)
    try:
        tree = (packer.pack(body), packer.shared_headers)
        try:
            return orjson.dumps(tree, default=_to_plain), packer.buffers
        except orjson.JSONEncodeError:  # text with lone surrogates, or worse
            return _dump_escaped(tree), packer.buffers
    except Unsendable as error:
        raise RuntimeFailed(str(error)) from None
    except RecursionError:
        raise RuntimeFailed("a value is nested too deeply to be sent to another process") from None


def unpack(metadata: Any, payload: Any) -> Any:
    """The value that ``pack`` packed; its arrays are views of ``payload``.

    Args:
        metadata: the JSON.
        payload: a writable buffer with the pieces of the payload, one after the other.

    Raises:
        ValueError, TypeError, LookupError: these are no bytes that ``pack`` made.
        MLServerError: this process lacks what it takes to hold the value.
    """
    tree = orjson.loads(metadata)
    if len(tree) == 3:
        tree = _unescape(tree)
    return Unpacker(_UNPACK, payload, tree[1]).unpack(tree[0])


def _to_plain(value: Any) -> Any:
    """Numbers of numpy where the fields of a type have them, as in a shape."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent to another process")


def _dump_escaped(tree: tuple[Any, ...]) -> bytes:
    """As JSON of a tree with text that is no UTF-8; a third member tells it from others."""
    try:
        return orjson.dumps(_escape((*tree, True)), default=_to_plain)
    except orjson.JSONEncodeError as error:
        reason = error.__cause__ or error
        raise RuntimeFailed(f"a value cannot be sent to another process: {reason}") from None


def _escape(node: Any) -> Any:
    if isinstance(node, str):
        text = str.__str__(node)
        data = text.encode("utf-8", "surrogatepass")
        kept = data.decode("utf-8", "ignore") == text and not text.startswith(_ESCAPE)
        return text if kept else _ESCAPE + data.hex()
    if isinstance(node, dict):
        return {_escape(name): _escape(each) for name, each in node.items()}
    return [_escape(each) for each in node] if isinstance(node, (list, tuple)) else node


def _unescape(node: Any) -> Any:
    if isinstance(node, str):
        if not node.startswith(_ESCAPE):
            return node
        return bytes.fromhex(node[1:]).decode("utf-8", "surrogatepass")
    if isinstance(node, dict):
        return {_unescape(name): _unescape(each) for name, each in node.items()}
    return [_unescape(each) for each in node] if isinstance(node, list) else node
