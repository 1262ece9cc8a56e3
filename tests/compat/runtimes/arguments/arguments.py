from typing import List, Tuple

import mlserver
import numpy as np
from mlserver.codecs import decode_args


class Arguments(mlserver.MLModel):
    async def load(self) -> bool:
        self.factor = 10
        return True

    @decode_args
    async def predict(
        self, numbers: np.ndarray, names: List[str]
    ) -> Tuple[np.ndarray, List[str]]:
        return numbers * self.factor, [name.title() for name in names]
