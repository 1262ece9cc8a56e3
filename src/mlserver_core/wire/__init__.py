"""Bytes on the wire to types and back: V2 JSON, protobuf tensors, headers."""
