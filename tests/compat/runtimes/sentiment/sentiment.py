import logging
from typing import List

from mlserver import MLModel, types
from mlserver.codecs import StringCodec

import vocabulary

logger = logging.getLogger("mlserver.sentiment")


class SentimentRuntime(MLModel):
    async def load(self) -> bool:
        options = self.settings.parameters.extra
        self.threshold = options["threshold"]
        self.labels = options.get("labels", ["negative", "positive"])
        logger.info("threshold is %s", self.threshold)
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        texts = self._texts(payload)
        scores = [vocabulary.weigh(text) for text in texts]
        return types.InferenceResponse(
            model_name=self.name,
            outputs=[
                StringCodec.encode_output(
                    "label", [self.labels[score >= self.threshold] for score in scores]
                ),
                types.ResponseOutput(
                    name="score", shape=[len(scores)], datatype="INT64", data=scores
                ),
            ],
        )

    def _texts(self, payload: types.InferenceRequest) -> List[str]:
        for request_input in payload.inputs:
            if request_input.name == "text":
                return StringCodec.decode_input(request_input)
        return []
