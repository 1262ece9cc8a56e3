"""What the user of ``mlserver infer`` asked for, and where that leads."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import attrs

from mlserver_core.errors import InvalidRequest

DEFAULT_URLS = {"rest": "localhost:8080", "grpc": "localhost:8081"}
#: A header name (RFC 9110, section 5.1).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SECURE = {"https", "grpcs"}


@attrs.frozen(kw_only=True)
class Options:
    """The options of one run; the names are those of the command line.

    Attributes:
        url: ``HOST:PORT``, or with a scheme; empty for the transport's default.
        transport: ``rest`` or ``grpc``.
        model_name: the model to ask.
        model_version: which of its versions; empty for the server's choice.
        request_headers: ``NAME: VALUE`` each, sent with every call.
        binary_data: tensors go raw, over REST as the binary tensor data extension.
        timeout: seconds that one call may take.
        use_ssl: speak TLS.
        insecure: do not verify the server's certificate.
        workers: calls under way at once.
        retries: how often a call is tried again after the first time.
        batch_size: lines that are merged into one call at most.
        batch_interval: seconds each worker waits after a call.
        batch_jitter: seconds up to which a random wait is added to that.
        unordered: answers are written as they come, not in the order of the lines.
    """

    url: str = ""
    transport: str = "rest"
    model_name: str
    model_version: str = ""
    request_headers: tuple[str, ...] = ()
    binary_data: bool = False
    timeout: float = 60
    use_ssl: bool = False
    insecure: bool = False
    workers: int = 10
    retries: int = 3
    batch_size: int = 1
    batch_interval: float = 0
    batch_jitter: float = 0
    unordered: bool = False

    def headers(self) -> dict[str, str]:
        """The request headers by name, in lower case; a value may have colons.

        Raises:
            InvalidRequest: one is not ``NAME: VALUE``, or has what HTTP and gRPC do not carry.
        """
        headers = {}
        for text in self.request_headers:
            name, colon, value = text.partition(":")
            value = value.strip()
            if not colon or not _NAME.fullmatch(name.strip()):
                raise InvalidRequest(f"expected a header as 'NAME: VALUE', got {text!r}")
            if not (value.isascii() and value.isprintable()):
                raise InvalidRequest(
                    f"header {name.strip()!r}: expected printable ASCII as value, got {value!r}"
                )
            headers[name.strip().lower()] = value
        return headers

    def secure(self) -> bool:
        """Whether to speak TLS: asked for, or said by the scheme of the URL."""
        return self.use_ssl or self.url.partition("://")[0].lower() in _SECURE

    def infer_url(self) -> str:
        """Where to post over REST (Open Inference Protocol, "Inference").

        Raises:
            InvalidRequest: the URL has no host, or a port that is none.
        """
        host, port, path = self._split()
        address = f"[{host}]" if ":" in host else host
        if port:
            address += f":{port}"
        scheme = "https" if self.secure() else "http"
        version = f"/versions/{quote(self.model_version, safe='')}" if self.model_version else ""
        model = f"/v2/models/{quote(self.model_name, safe='')}{version}/infer"
        return f"{scheme}://{address}{path}{model}"

    def grpc_address(self) -> tuple[str, int]:
        """Host and port to connect to over gRPC.

        Raises:
            InvalidRequest: the URL lacks one of the two, or has more than them.
        """
        host, port, path = self._split()
        if not port or path:
            raise InvalidRequest(f"expected HOST:PORT as URL for gRPC, got {self.url!r}")
        return host, port

    def _split(self) -> tuple[str, int | None, str]:
        url = self.url or DEFAULT_URLS[self.transport]
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidRequest(f"{url!r} is no URL: {error}") from None
        if not host or parts.query or parts.fragment:
            raise InvalidRequest(f"expected HOST:PORT as URL, got {url!r}")
        return host, port, parts.path.rstrip("/")
