"""Archives as their members, one after the other, with no trust in what they say."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment

#: How compressed data begins, and what reads it.
_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
#: What else is taken for an archive of an environment now and then.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard"),
    (b"hsqs", "a squashfs image"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_AS_WHAT = "pack the environment as .tar.gz, .tar.bz2, .tar.xz or .tar"
#: What decompressors raise for data that is none, or not all there.
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError)
#: What tarfile raises for headers that make no sense.
_SENSELESS = (tarfile.TarError, ArithmeticError, LookupError, ValueError, RecursionError, EOFError)
#: Bytes of headers between two members: names that are long, and attributes.
_HEADERS = 2**20
#: Bytes behind the end of an archive: it is filled up to a multiple of its block size.
_PADDING = 16 * 2**20
_PIECE = 2**20
_BLOCK = 512


class Tarball:
    """An archive that is read once, from its beginning to its end.

    Args:
        file: at its beginning.
        name: of it, for messages.

    Raises:
        UnusableEnvironment: this is no tar archive, compressed or not.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        magic = file.read(8)
        file.seek(0)
        if not magic:
            raise UnusableEnvironment(f"{name} is empty; {_AS_WHAT}")
        for start, what in _OTHERS:
            if magic.startswith(start):
                raise UnusableEnvironment(f"{name} is {what}, which is not read; {_AS_WHAT}")
        opened = [opening for start, opening in _COMPRESSED if magic.startswith(start)]
        self._stream = _Stream(opened[0](file) if opened else file, name)

    def members(self) -> Iterator[tarfile.TarInfo]:
        """The members. Of each the data is to be read before the next one is asked for.

        Raises:
            UnusableEnvironment: the archive is damaged, cut off, or none. What came before may
                be part of anything.
        """
        self._stream.allowed = _HEADERS
        try:
            options = {"encoding": "utf-8", "errors": "surrogateescape"}
            # It wants a whole file by its type, and uses no more than the stream has.
            with tarfile.TarFile(fileobj=self._stream, **options) as tar:  # type: ignore[arg-type]
                while (member := tar.next()) is not None:
                    kept = vars(tar)  # which the types do not know
                    kept["members"].clear()  # there may be a million
                    kept["pax_headers"].clear()  # those for all members, which may be gigabytes
                    if member.size < 0:
                        raise tarfile.ReadError(f"{member.name!r} has a size below 0")
                    yield member
                    self._stream.allowed = _HEADERS
        except _SENSELESS as error:
            raise UnusableEnvironment(
                f"{self._name} is damaged, or no tar archive: {error}; {_AS_WHAT}"
            ) from None
        self._finish()

    def pieces(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """The data of a member, of which it has ``size`` bytes.

        Raises:
            UnusableEnvironment: it is not all there.
        """
        left = member.size
        self._stream.allowed = left
        while left:
            piece = self._stream.read(min(left, _PIECE))
            if not piece:
                raise UnusableEnvironment(_cut_off(self._name))
            left -= len(piece)
            yield piece

    def _finish(self) -> None:
        """Raises UnusableEnvironment where tarfile has stopped at something else than the end."""
        last = self._stream.last
        if last != bytes(_BLOCK):
            cut = len(last) < _BLOCK
            raise UnusableEnvironment(
                _cut_off(self._name) if cut else f"{self._name} is damaged; pack it again"
            )
        self._stream.allowed = _PADDING
        while self._stream.read(_PIECE):  # the checksum comes last
            pass


class _Stream:
    """Decompressed bytes as tarfile reads them, and never more than are allowed."""

    def __init__(self, source: IO[bytes], name: str) -> None:
        self.allowed = 0
        self.last = b""
        self._source = source
        self._name = name
        self._position = 0

    def read(self, size: int) -> bytes:
        """So many bytes, or those that are left."""
        if not 0 <= size <= self.allowed:
            raise UnusableEnvironment(
                f"{self._name} is damaged: a header or the end of it is larger than {_HEADERS} "
                "bytes; pack it again"
            )
        try:
            data = self._source.read(size)
        except _DAMAGED as error:
            raise UnusableEnvironment(f"{_cut_off(self._name)} ({error})") from None
        except OSError as error:
            if error.errno is None:  # of a decompressor
                raise UnusableEnvironment(f"{_cut_off(self._name)} ({error})") from None
            reason = errno.errorcode.get(error.errno, "")
            raise UnusableEnvironment(
                f"{self._name} cannot be read: {error.strerror} {reason}"
            ) from None
        self.allowed -= len(data)
        self._position += len(data)
        self.last = data
        return data

    def tell(self) -> int:
        """How many bytes have been read."""
        return self._position

    def seek(self, position: int) -> None:
        """Skips what is in between."""
        if position < self._position:
            raise tarfile.StreamError("an archive is read forwards")
        while self._position < position and self.read(min(position - self._position, _PIECE)):
            pass


def _cut_off(name: str) -> str:
    return f"{name} is damaged or cut off: copy or pack it again"
