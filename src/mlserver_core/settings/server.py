"""The server's settings: ``settings.json``, ``MLSERVER_*`` variables, command line."""

from __future__ import annotations

import ipaddress
import re
from importlib import metadata
from typing import Any

import attrs

from mlserver_core.settings.fields import (
    MOST_WORKERS,
    Effect,
    above,
    at_least,
    metric_prefix,
    one_of,
    path,
    path_or_object,
    port,
    setting,
    within,
    without_nul,
)

LATER, NONE = Effect.LATER, Effect.NONE


def _version() -> str:
    try:
        return metadata.version("mlserver-core")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


def _is_pattern(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    try:
        re.compile(value or "")
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {value!r}: {error}") from None


@attrs.define(kw_only=True)
class CORSSettings:
    """Cross-origin rules of the REST server, with MLServer's names.

    With ``allow_origins`` alone a page can infer, with JSON and with binary tensors.

    Attributes:
        allow_origins: pages that may call, such as ``https://example.com``; ``*`` for all.
        allow_origin_regex: an expression that the whole origin has to match instead.
        allow_credentials: may they send cookies and authorization?
        allow_methods: what they may call with; ``*`` for all.
        allow_headers: what they may send besides the headers an inference needs; ``*`` for all.
        expose_headers: what they may read of an answer's headers; ``*`` for all.
        max_age: seconds for which a browser may remember the rules.
    """

    allow_origins: list[str] = attrs.field(factory=list)
    allow_origin_regex: str | None = attrs.field(default=None, validator=_is_pattern)
    allow_credentials: bool = False
    allow_methods: list[str] = attrs.field(factory=lambda: ["GET", "HEAD", "POST", "OPTIONS"])
    allow_headers: list[str] = attrs.field(factory=list)
    expose_headers: list[str] = attrs.field(
        factory=lambda: ["Inference-Header-Content-Length", "X-Request-ID"]
    )
    max_age: int = 600


def _to_cors(value: Any) -> CORSSettings | None:
    return value if value is None or isinstance(value, CORSSettings) else CORSSettings(**value)


@attrs.define(kw_only=True)
class Settings:
    """Settings of one server, with MLServer's names; ``docs/settings.md`` lists them.

    Constructing it reads nothing but its arguments; ``load_settings`` reads files and
    environment.
    """

    # What is served, and to whom
    model_repository_root: str = setting("Folder with the models.", default=".")
    model_repository_implementation: str | None = setting(
        "Dotted path of a custom repository class.", default=None
    )
    model_repository_implementation_args: dict[str, Any] = setting(
        "Arguments of the custom repository class.", factory=dict
    )
    load_models_at_startup: bool = setting("Load every model found at start.", default=True)
    on_load_error: str = setting(
        "When a model fails to load at start: fail (end with a non-zero code) or serve "
        "(keep the others serving, not ready).",
        default="fail",
        validator=one_of("fail", "serve"),
    )
    model_repository_api: str = setting(
        "Repository calls: on, off, or auto (on when host is a loopback address).",
        default="auto",
        validator=one_of("auto", "on", "off"),
    )
    allow_pickle: bool = setting(
        "Load pickle and joblib files, which run code when they are loaded. A model may "
        "tighten it to false.",
        default=True,
    )
    trusted_types: list[str] = setting(
        "Type names that safe formats (skops) may build besides those they know.", factory=list
    )
    host: str = setting("Address every listener binds.", default="127.0.0.1")
    http_port: int = setting("Port of REST; 0 takes a free one.", default=8080, validator=port)
    grpc_port: int = setting("Port of gRPC; 0 takes a free one.", default=8081, validator=port)
    root_path: str = setting(
        "Path prefix that a proxy strips, put in front of the links of documentation pages.",
        default="",
    )
    cors_settings: CORSSettings | None = setting(
        "Cross-origin rules; see [its page](rest/cors.md).",
        default=None,
        converter=_to_cors,
    )

    # How the server names itself
    server_name: str = setting("Name in metadata and CloudEvents.", default="mlserver")
    server_version: str = setting("Version in metadata.", factory=_version)
    extensions: list[str] = setting("More extension names for metadata.", factory=list)

    # Limits
    max_queue_size: int = setting(
        "Requests of one model that may wait or run; those above are refused at once.",
        default=1024,
        validator=at_least(1),
    )
    request_timeout: float | None = setting(
        "Seconds that an answer may take, a stream all in all; unset means any time.",
        default=None,
        validator=above(0),
    )
    queue_timeout: float | None = setting(
        "Seconds that a request may wait before the model begins with it; unset means any time.",
        default=None,
        validator=above(0),
    )
    max_body_size: int = setting(
        "Largest REST body, in bytes, decompressed.", default=128 * 2**20, validator=at_least(1)
    )
    grpc_max_message_length: int | None = setting(
        "Largest gRPC message received, in bytes; -1 lifts it; unset means 64 MiB.",
        default=None,
        validator=at_least(-1),
    )
    drain_delay: float = setting(
        "Seconds at shutdown for which the server is not ready but still takes work.",
        default=0.0,
        validator=at_least(0),
    )
    shutdown_grace_period: float = setting(
        "Seconds that requests in flight may take at shutdown.", default=8.0, validator=at_least(0)
    )

    # Answers
    error_detail: bool = setting(
        "Send the text of a runtime's exception to the client.", default=True
    )
    cloud_events: bool = setting("Add CloudEvents headers to every answer.", default=True)
    gzip_enabled: bool = setting("Compress REST answers for clients that ask for it.", default=True)

    # Execution
    parallel_workers: int = setting(
        "Worker processes; 0 serves in the server's own process.",
        default=1,
        validator=within(0, MOST_WORKERS),
    )
    parallel_workers_timeout: int = setting(
        "Seconds a worker may take to stop.", default=5, validator=at_least(0)
    )
    worker_heartbeat_timeout: float = setting(
        "Seconds without a sign of life after which a worker is ended and another is started.",
        default=30.0,
        validator=at_least(1),
    )
    environments_dir: str = setting(
        "Folder that archives of environments are unpacked in, and kept for the next start; see "
        "[its page](environments.md).",
        default=".envs",
        validator=without_nul,
    )
    environment_max_bytes: int = setting(
        "Bytes that an archive of an environment may unpack to.",
        default=64 * 2**30,
        validator=at_least(1),
    )
    environment_max_entries: int = setting(
        "Files, folders and links that such an archive may have.",
        default=1_000_000,
        validator=at_least(1),
    )
    cache_enabled: bool = setting(
        "Keep answers of the models that say cache_enabled; see [its page](cache.md).",
        default=False,
    )
    cache_size: int = setting("Answers in the response cache.", default=100, validator=at_least(0))
    cache_max_bytes: int = setting(
        "Bytes that they and their keys may take.", default=256 * 2**20, validator=at_least(0)
    )
    cache_ignore_headers: list[str] | None = setting(
        "Headers that make no difference to the response cache; unset means those of "
        "[its page](cache.md).",
        default=None,
    )

    # Observability
    loop_lag_warning: float = setting(
        "Seconds after which a model that blocks the event loop is named in the log; 0 for never.",
        default=1.0,
        validator=at_least(0),
    )
    debug: bool = setting("Debug log level, and an access log of REST.", default=False)
    use_structured_logging: bool = setting("Log JSON lines.", LATER, default=False)
    logging_settings: Any = setting(
        "A logging configuration, or the path of one.",
        LATER,
        default=None,
        validator=path_or_object,
    )
    metrics_endpoint: str | None = setting(
        "Path of the metrics; empty switches them off.", default="/metrics", validator=path
    )
    metrics_port: int = setting(
        "Port of the metrics; 0 takes a free one.", default=8082, validator=port
    )
    metrics_rest_server_prefix: str = setting(
        "Prefix of the REST metrics' names.", default="rest_server", validator=metric_prefix
    )
    metrics_dir: str = setting(
        "Where MLServer's processes shared metrics; ours need no folder.", NONE, default=".metrics"
    )
    tracing_server: str | None = setting("OTLP endpoint.", LATER, default=None)

    # Kafka, which a plugin will bring
    kafka_enabled: bool = setting("Serve over Kafka.", LATER, default=False)
    kafka_servers: str = setting("Kafka brokers.", LATER, default="localhost:9092")
    kafka_topic_input: str = setting("Topic of requests.", LATER, default="mlserver-input")
    kafka_topic_output: str = setting("Topic of answers.", LATER, default="mlserver-output")

    @property
    def is_local(self) -> bool:
        """Does ``host`` reach no further than this machine?"""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
