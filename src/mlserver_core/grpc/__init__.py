"""The gRPC transport, over grpclib."""
