"""The models on KServe's Python SDK. Arguments: HTTP port, gRPC port, and the
classifier's file unless the sum is enough.
"""

import sys
import uuid

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


def answer(request: InferRequest, model: str, name: str, values: np.ndarray) -> InferResponse:
    datatype = {"float32": "FP32", "int64": "INT64"}[values.dtype.name]
    output = InferOutput(name, list(values.shape), datatype)
    output.set_data_from_numpy(values, binary_data=request.from_grpc)
    # Over REST an answer has to have an id.
    return InferResponse(request.id or str(uuid.uuid4()), model, [output])


class Sum(Model):
    """The sum of its first input."""

    def load(self) -> bool:
        self.ready = True
        return True

    async def predict(self, payload, headers=None, response_headers=None):
        array = payload.inputs[0].as_numpy()
        total = np.array([array.sum()], np.float32)
        return answer(payload, self.name, "sum", total)


class Iris(Model):
    """The classifier."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.path = path

    def load(self) -> bool:
        import joblib

        self.classifier = joblib.load(self.path)
        self.ready = True
        return True

    async def predict(self, payload, headers=None, response_headers=None):
        classes = self.classifier.predict(payload.inputs[0].as_numpy())
        return answer(payload, self.name, "predict", classes.astype(np.int64))


if __name__ == "__main__":
    http_port, grpc_port, *paths = sys.argv[1:]
    models = [Sum("sum"), *(Iris("iris", path) for path in paths)]
    for model in models:
        model.load()
    ModelServer(
        http_port=int(http_port),
        grpc_port=int(grpc_port),
        workers=1,
    ).start(models)
