"""The message classes the server uses for tensors, health and reflection.

They are upb classes in a descriptor pool of our own: clients such as tritonclient register
messages of the same names in protobuf's default pool, which holds each name once per process.
Replies of the small control calls are betterproto's (``_generated/dataplane.py``).
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import attrs
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


@attrs.frozen(eq=False)
class Messages:
    """Message classes by full name.

    Attributes:
        pool: the descriptors, for reflection.
    """

    pool: Any

    def get(self, name: str) -> Any:
        """The class of a message; KeyError for a name that is in no proto file of ours."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))


@functools.cache
def load_messages() -> Messages:
    """Builds the pool from the packaged descriptors."""
    data = resources.files("mlserver_core.grpc").joinpath("_generated/descriptors.binpb")
    files = descriptor_pb2.FileDescriptorSet.FromString(data.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return Messages(pool)
