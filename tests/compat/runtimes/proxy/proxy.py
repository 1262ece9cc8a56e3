import json

from mlserver import MLModel
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)


class Proxy(MLModel):
    """Takes requests apart and puts them together again with pydantic's methods, old and new."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        plain = payload.model_dump(exclude={"parameters"})
        sent = json.loads(payload.model_dump_json())
        assert plain["inputs"] == sent["inputs"] == payload.dict()["inputs"]
        again = InferenceRequest.parse_obj(plain)
        assert again.inputs == payload.inputs
        assert InferenceRequest.model_validate(plain) == again
        assert InferenceRequest.parse_raw(again.json()) == again

        first = again.inputs[0]
        assert isinstance(first, RequestInput)
        assert first.data[0] == list(first.data)[0] == first.data.root[0]
        assert len(first.data) == first.shape[0]
        doubled = first.copy(update={"data": TensorData(root=[2 * each for each in first.data])})
        halved = first.model_copy(deep=True)
        halved.data = TensorData([each / 2 for each in first.data])
        assert first.data[0] == payload.inputs[0].data[0]

        answer = {
            "model_name": self.name,
            "parameters": {"doubled": True},
            "outputs": [
                {
                    "name": "doubled",
                    "datatype": doubled.datatype,
                    "shape": doubled.shape,
                    "data": list(doubled.data),
                },
                ResponseOutput(
                    name="halved",
                    datatype="FP64",
                    shape=halved.shape,
                    data=halved.data.root,
                    parameters={"unit": "half"},
                ).model_dump(),
            ],
        }
        response = InferenceResponse(**answer)
        assert isinstance(response.parameters, Parameters)
        assert response.parameters.doubled is True
        return response
