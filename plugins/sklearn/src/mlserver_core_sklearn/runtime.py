"""The runtime that serves scikit-learn estimators and pipelines."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from mlserver_core import MLModel
from mlserver_core.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec
from mlserver_core.errors import InferenceError, ModelLoadError
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestOutput, ResponseOutput
from mlserver_core_sklearn.artifacts import load_artifact

#: The outputs that can be asked for; each is the method of that name.
OUTPUTS = ("predict", "predict_proba", "transform")


class SKLearnModel(MLModel):
    """Answers with what the estimator's ``predict``, ``predict_proba`` or ``transform`` returns.

    A request without outputs gets ``predict``, or what ``parameters.extra["predict_fn"]`` of
    the model's settings names.
    """

    _estimator: Any = None
    _default: str = OUTPUTS[0]

    def load(self) -> bool:  # type: ignore[override]  # a plain function runs in a thread
        """Reads the artifact.

        Raises:
            InvalidModelURI: there is no artifact.
            ModelLoadError: it may not be loaded or is no estimator, or ``predict_fn`` is wrong.
        """
        parameters = self.settings.parameters
        asked = parameters.extra.get("predict_fn") if parameters else None
        if asked is not None and asked not in OUTPUTS:
            raise ModelLoadError(
                self.name,
                f"parameters.extra.predict_fn is {asked!r}; it must be one of {', '.join(OUTPUTS)}",
            )
        estimator = load_artifact(self.settings)
        offered = _offered(estimator)
        if not offered or (asked is not None and asked not in offered):
            raise ModelLoadError(
                self.name,
                f"the artifact holds a {type(estimator).__name__}, which has no "
                f"{asked or ' or '.join(OUTPUTS)}",
            )
        self._estimator = estimator
        self._default = asked or OUTPUTS[0]
        return True

    def predict(  # type: ignore[override]  # a plain function runs in a thread
        self, payload: InferenceRequest
    ) -> InferenceResponse:
        """Calls the methods that are asked for, one output each.

        Args:
            payload: one tensor as an array of its shape, usually ``[N, features]``; with the
                content type ``pd`` a tensor per column.

        Returns:
            A tensor per method: ``[N, 1]`` where it returns ``[N]``. The columns of a DataFrame
            are an output each.

        Raises:
            InferenceError: an output the estimator does not have, or an input it refuses.
            CodecError: the request cannot be decoded, or a result cannot be encoded.
        """
        requested = payload.outputs or [RequestOutput(name=self._default)]
        methods = [self._method(output.name) for output in requested]
        given = self.decode_request(payload, default_codec=NumpyRequestCodec)
        outputs: list[ResponseOutput] = []
        for index, (output, method) in enumerate(zip(requested, methods, strict=True)):
            # Some estimators (copy=False) work in the array they are given.
            mine = given if index == len(requested) - 1 else copy.deepcopy(given)
            outputs += self._encode(_call(method, mine), output, alone=len(requested) == 1)
        return InferenceResponse(outputs=outputs)

    def _method(self, name: str) -> Callable[[Any], Any]:
        if name not in OUTPUTS:
            raise InferenceError(
                f"there is no output {name!r}; "
                f"this model has {', '.join(_offered(self._estimator))}"
            )
        method: Callable[[Any], Any] | None = getattr(self._estimator, name, None)
        if method is None:
            raise InferenceError(
                f"this {type(self._estimator).__name__} has no {name}; "
                f"it offers {', '.join(_offered(self._estimator))}"
            )
        return method

    def _encode(self, result: Any, output: RequestOutput, *, alone: bool) -> list[ResponseOutput]:
        if PandasCodec.can_encode(result):
            if not alone:
                raise InferenceError(
                    f"{output.name} returns a DataFrame, whose columns are an output each; "
                    "ask for it alone"
                )
            return PandasCodec.encode_outputs(result)
        return [self.encode(_to_array(result, output.name), output, default_codec=NumpyCodec)]


def _offered(estimator: Any) -> list[str]:
    return [name for name in OUTPUTS if callable(getattr(estimator, name, None))]


def _call(method: Callable[[Any], Any], given: Any) -> Any:
    try:
        return method(given)
    except ValueError as error:
        if _is_about_input(error):
            raise InferenceError(str(error)) from error
        raise


def _is_about_input(error: ValueError) -> bool:
    """Has scikit-learn refused the input, as opposed to a bug in somebody's estimator?

    It has no class for that: its checks raise plain ValueErrors, from ``utils.validation``
    (count of features, NaN, rank, text for numbers) and from the estimators themselves (an
    unknown category, a missing column). So the place that raised decides: all of scikit-learn
    counts, other people's code only below a check of ``utils.validation``, where numpy or
    pandas fails to convert. That a model was never fitted is not the caller's doing.
    """
    if isinstance(error, NotFittedError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    modules = [frame.f_globals.get("__name__", "") for frame, _ in frames]
    return modules[-1].startswith("sklearn.") or "sklearn.utils.validation" in modules


def _to_array(result: Any, name: str) -> np.ndarray:
    """A dense array, rows first; ``[N, targets, classes]`` of a classifier of many targets."""
    if hasattr(result, "toarray"):  # a sparse matrix
        return np.asarray(result.toarray())
    if name == "predict_proba" and isinstance(result, list) and np.ndim(result[0]) > 1:
        if len({each.shape for each in result}) > 1:
            raise InferenceError(
                "predict_proba has another number of classes for each target, which makes no "
                "tensor; ask for predict"
            )
        return np.stack(result, axis=1)
    return np.asarray(result)
