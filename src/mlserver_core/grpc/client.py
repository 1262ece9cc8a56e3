"""The typed client: betterproto's stub of the inference service, for use with grpclib."""

from mlserver_core.grpc._generated.dataplane import (
    GrpcInferenceServiceStub,
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
    ModelInferRequestInferRequestedOutputTensor,
    ModelInferResponse,
)

__all__ = [
    "GrpcInferenceServiceStub",
    "InferParameter",
    "InferTensorContents",
    "ModelInferRequest",
    "ModelInferRequestInferInputTensor",
    "ModelInferRequestInferRequestedOutputTensor",
    "ModelInferResponse",
]
