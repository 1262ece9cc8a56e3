"""MLServer's import path for small functions that runtimes use; each lives elsewhere."""

from __future__ import annotations

import uuid
from pathlib import Path

from mlserver_core.repositories.artifacts import get_model_uri
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters

__all__ = [
    "extract_headers",
    "generate_uuid",
    "get_model_uri",
    "insert_headers",
    "to_absolute_path",
]


def to_absolute_path(model_settings: ModelSettings, uri: str) -> str:
    """A path that starts at the folder of the model's settings file, or at the current folder
    where there is none.
    """
    return str((model_settings.folder or Path.cwd()) / uri)


def generate_uuid() -> str:
    """A new id for a request (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def insert_headers(
    inference_request: InferenceRequest, headers: dict[str, str]
) -> InferenceRequest:
    """Puts headers into the parameters of a request, in place of those that are there."""
    if inference_request.parameters is None:
        inference_request.parameters = Parameters()
    inference_request.parameters.headers = headers
    return inference_request


def extract_headers(inference_response: InferenceResponse) -> dict[str, str] | None:
    """Takes the headers out of the parameters of a response; None where there are none."""
    if inference_response.parameters is None or not inference_response.parameters.headers:
        return None
    headers = inference_response.parameters.headers
    inference_response.parameters.headers = None
    return headers
