"""Calls a model over REST."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import attrs
import orjson

from mlserver_core.cli.inference.client import CallFailed, parse_retry_after, tls_context
from mlserver_core.cli.inference.options import Options
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.wire.binary_client import (
    LENGTH_HEADER,
    decode_binary_response,
    encode_binary_request,
)
from mlserver_core.wire.json_client import encode_request

#: Statuses after which the same call may succeed.
_PASSING = frozenset({429, 502, 503, 504})
#: Characters of an answer that is no error object of ours.
_LONGEST_TEXT = 300


@attrs.frozen
class RestClient:
    """Posts to one URL; see ``Client``.

    Attributes:
        session: connections, with the timeout and the headers of every call.
        url: the model's inference route.
        binary: send and ask for binary tensors.
    """

    session: aiohttp.ClientSession
    url: str
    binary: bool

    async def infer(
        self, request: InferenceRequest, headers: Mapping[str, str]
    ) -> InferenceResponse:
        """One POST; raises as ``Client`` says."""
        body, framing = self._encode(request)
        try:
            async with self.session.post(
                self.url, data=body, headers={**headers, **framing}, allow_redirects=False
            ) as answer:
                content = await answer.read()
        except asyncio.TimeoutError:
            raise CallFailed(
                f"no answer within {self.session.timeout.total} seconds", may_retry=True
            ) from None
        except aiohttp.ClientSSLError as error:
            raise CallFailed(f"no secure connection: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(f"no connection: {error}", may_retry=True) from None
        if answer.status != 200:
            raise _failure(answer, content)
        try:
            return decode_binary_response(content, answer.headers.get(LENGTH_HEADER))
        except InvalidRequest as error:
            raise CallFailed(f"the answer cannot be read: {error}", may_split=True) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self.session.close()

    def _encode(self, request: InferenceRequest) -> tuple[bytes, dict[str, str]]:
        if not self.binary:
            return encode_request(request), {"content-type": "application/json"}
        body, length = encode_binary_request(request)
        return body, {"content-type": "application/octet-stream", LENGTH_HEADER: str(length)}


def open_rest_client(options: Options) -> RestClient:
    """A client for the options' server and model.

    Raises:
        InvalidRequest: URL or headers cannot be used.
    """
    url, headers = options.infer_url(), options.headers()
    connector = aiohttp.TCPConnector(
        limit=options.workers,
        ssl=tls_context(insecure=options.insecure) if options.secure() else True,
    )
    session = aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=options.timeout)
    )
    return RestClient(session, url, options.binary_data)


def _failure(answer: aiohttp.ClientResponse, content: bytes) -> CallFailed:
    passing = answer.status in _PASSING
    return CallFailed(
        f"{answer.status}: {_read_error(content) or answer.reason or 'no reason given'}",
        may_retry=passing,
        may_split=not passing,
        retry_after=parse_retry_after(answer.headers.get("Retry-After")),
        status=answer.status,
    )


def _read_error(content: bytes) -> str:
    """The text of an error object, or what else came."""
    try:
        plain = orjson.loads(content)
        return str(plain["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return content[:_LONGEST_TEXT].decode("utf-8", "replace").strip()
