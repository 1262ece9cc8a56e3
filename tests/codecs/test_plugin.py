"""The plugin that registers the built-in codecs."""

from mlserver_core.codecs import Codecs
from mlserver_core.codecs.plugin import mlserver_register_codecs


def test_every_codec_is_registered_under_its_content_type():
    codecs = Codecs()
    mlserver_register_codecs(input_codecs=codecs.inputs, request_codecs=codecs.requests)

    for registry in (codecs.inputs, codecs.requests):
        assert registry.items()
        assert all(codec.ContentType == name for name, codec in registry.items().items())
