"""Takes the connections that come to one port."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

import attrs

from mlserver_core.settings import Settings
from mlserver_core.settings.listening import cannot_listen

logger = logging.getLogger("mlserver")

#: Connections that may wait in the system while the event loop is busy; others would be dropped,
#: and their clients try again a second later. A system may allow fewer (somaxconn).
_MOST_WAITING = 1024
#: Connections that are taken in one turn of the event loop: what else is ready has its turn too.
_MOST_IN_TURN = 64
#: Seconds without a new connection once the system has no room for one.
_PAUSE = 1.0
#: What an address of a host raises that this machine does not have; another one may do.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_OUT_OF_FILES = "let the process have more open files (ulimit -n)"


@attrs.define(eq=False)
class Listener:
    """Listens for one transport.

    The event loop could do so itself, but uvloop takes one connection in each of its turns: of
    a hundred that come at once the last one would wait for a hundred turns, each with the
    requests of those who are connected.

    Attributes:
        settings: of the server; it listens on its ``host``.
        make_protocol: makes what takes the bytes of one connection.
        name: of the transport, as people write it.
        setting: the name of the setting that has the port.
        port: the port it listens on, once started.
    """

    settings: Settings
    make_protocol: Callable[[], asyncio.BaseProtocol]
    name: str = attrs.field(kw_only=True)
    setting: str = attrs.field(kw_only=True)
    port: int = attrs.field(default=0, init=False)
    _sockets: list[socket.socket] = attrs.field(factory=list, init=False)
    _arriving: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)

    async def start(self) -> None:
        """Begins to listen, on every address that the host has.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        try:
            self._sockets = await self._bind()
        except OSError as error:
            raise cannot_listen(self.name, self.settings, self.setting, error) from None
        self.port = self._sockets[0].getsockname()[1]
        for each in self._sockets:
            self._watch(each)

    async def stop(self) -> None:
        """Takes no more connections; those that were taken go on, the last ones included."""
        stopped, self._sockets = self._sockets, []
        loop = asyncio.get_running_loop()
        for each in stopped:
            loop.remove_reader(each)
            each.close()
        if self._arriving:
            await asyncio.wait(self._arriving)

    async def _bind(self) -> list[socket.socket]:
        port = getattr(self.settings, self.setting)
        found = await asyncio.get_running_loop().getaddrinfo(
            self.settings.host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        bound: list[socket.socket] = []
        missing = None
        try:
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                # With port 0 the first address gets any port, and the others the same one.
                port = bound[0].getsockname()[1] if bound else port
                try:
                    bound.append(_listen(family, (address[0], port, *address[2:])))
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    missing = error
            if missing is not None and not bound:
                raise missing
        except BaseException:
            for each in bound:
                each.close()
            raise
        return bound

    def _watch(self, listening: socket.socket) -> None:
        if listening in self._sockets:  # not after a stop
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Takes those who wait, up to ``_MOST_IN_TURN``."""
        loop = asyncio.get_running_loop()
        for _ in range(_MOST_IN_TURN):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            connection.setblocking(False)
            task = loop.create_task(self._hand_over(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Lets those who come wait in the system: until there is room, it would say again and
        again that they are there.
        """
        reason = error.strerror or str(error)
        if error.errno == errno.EMFILE:
            reason = f"{reason}; {_OUT_OF_FILES}"
        text = "%s cannot take a connection, and tries again in %g second(s): %s"
        logger.error(text, self.name, _PAUSE, reason)
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_PAUSE, self._watch, listening)

    async def _hand_over(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self.make_protocol, connection)
        except OSError:  # its client has gone
            connection.close()
        except BaseException:
            connection.close()
            raise


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    """A socket that listens on one address; raises OSError."""
    # TCP by name: asyncio sends small answers at once (TCP_NODELAY) on such sockets only.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # the IPv4 address, if it is wanted, has a socket of its own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_MOST_WAITING)
    except BaseException:
        made.close()
        raise
    return made
