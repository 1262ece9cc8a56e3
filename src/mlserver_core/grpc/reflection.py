"""Server reflection (grpc.reflection v1 and v1alpha), so that grpcurl needs no proto files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import attrs
from grpclib.const import Cardinality, Handler, Status

from mlserver_core.grpc.call import Call
from mlserver_core.grpc.messages import Messages

_LIMIT = 64 * 1024


@attrs.frozen(eq=False)
class ReflectionService:
    """Describes the services of this server.

    Attributes:
        messages: the descriptors, and the classes of the messages.
        services: the names to list.
        package: ``grpc.reflection.v1`` or ``grpc.reflection.v1alpha``, equal but for it.
    """

    messages: Messages
    services: Collection[str]
    package: str

    def __mapping__(self) -> dict[str, Handler]:
        """The handler by path, as grpclib asks for it."""
        return {
            f"/{self.package}.ServerReflection/ServerReflectionInfo": Handler(
                self.describe,
                Cardinality.STREAM_STREAM,
                self._class("ServerReflectionRequest"),
                self._class("ServerReflectionResponse"),
            )
        }

    async def describe(self, call: Call) -> None:
        """Answers each question of the stream."""
        request_type = self._class("ServerReflectionRequest")
        while (question := await call.receive(request_type, _LIMIT)) is not None:
            await call.send_message(self.answer(question))

    def answer(self, question: Any) -> Any:
        """The answer to one question; what is not known is an error in the answer."""
        reply = self._class("ServerReflectionResponse")(
            valid_host=question.host, original_request=question
        )
        asked = question.WhichOneof("message_request")
        try:
            self._fill(reply, question, asked)
        except KeyError:
            _refuse(reply, Status.NOT_FOUND, f"{getattr(question, asked)} is not known here")
        return reply

    def _fill(self, reply: Any, question: Any, asked: str | None) -> None:
        pool = self.messages.pool
        finders: dict[str, Callable[[str], Any]] = {
            "file_by_filename": pool.FindFileByName,
            "file_containing_symbol": pool.FindFileContainingSymbol,
        }
        if asked == "list_services":
            for name in sorted(self.services):
                reply.list_services_response.service.add(name=name)
        elif asked in finders:
            file = finders[asked](getattr(question, asked))
            reply.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
        elif asked == "all_extension_numbers_of_type":
            name = question.all_extension_numbers_of_type
            pool.FindMessageTypeByName(name)  # proto3 messages have no extensions
            reply.all_extension_numbers_response.base_type_name = name
        elif asked == "file_containing_extension":
            raise KeyError(asked)
        else:
            _refuse(reply, Status.INVALID_ARGUMENT, "the request asks for nothing")

    def _class(self, name: str) -> Any:
        return self.messages.get(f"{self.package}.{name}")


def _refuse(reply: Any, status: Status, text: str) -> None:
    reply.error_response.error_code = status.value
    reply.error_response.error_message = text
