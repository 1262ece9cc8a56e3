import json
from typing import Any, Dict

from mlserver import MLModel, types
from mlserver.codecs import StringCodec


class JsonDocument(MLModel):
    """Takes JSON as text, and answers with JSON as text."""

    async def load(self) -> bool:
        self.greeting = "hello"
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        document = self._read(payload)
        answer = {"greeting": f"{self.greeting} {document['name']}", "asked": document}
        body = json.dumps(answer, sort_keys=True).encode("UTF-8")
        return types.InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[
                types.ResponseOutput(
                    name="document",
                    shape=[len(body)],
                    datatype="BYTES",
                    data=[body],
                    parameters=types.Parameters(content_type="str"),
                )
            ],
        )

    def _read(self, payload: types.InferenceRequest) -> Dict[str, Any]:
        read = {}
        for each in payload.inputs:
            read[each.name] = json.loads("".join(self.decode(each, default_codec=StringCodec)))
        return read["document"]
