"""Settings of the server and of models, with MLServer's names."""

from mlserver_core.settings.model import ArtifactPolicy, ModelParameters, ModelSettings
from mlserver_core.settings.server import CORSSettings, Settings

__all__ = ["ArtifactPolicy", "CORSSettings", "ModelParameters", "ModelSettings", "Settings"]
