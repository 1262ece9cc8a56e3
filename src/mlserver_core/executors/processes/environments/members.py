"""Puts the members of an archive into a folder, and nowhere else."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.tarballs import Tarball

#: The end of the times that a file system may have to know.
_LATEST = 2**32 - 1
#: Folders one in another; what clears them away later goes down by recursion.
_DEEPEST = 200
#: Characters of a name, and of what a link leads to, which are kept until the archive's end.
_LONGEST = 4096
#: Characters of a name in a message.
_SHOWN = 400
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen(kw_only=True)
class Limits:
    """What an archive may unpack to.

    Attributes:
        bytes: of all files together.
        entries: files, folders and links.
    """

    bytes: int
    entries: int


@attrs.define(eq=False)
class Unpacking:
    """One archive on its way into a folder.

    Files come first and links when all files are there, so that nothing is ever written through
    a link. Names lead down from the folder, and what else a member may be is refused: absolute
    names, ``..``, devices, links to the outside. Owners and special permissions are left out.

    Attributes:
        tarball: the archive.
        name: of it, for messages.
        folder: empty, and stays as it is where the archive is refused: whoever made it clears it.
        limits: on what comes out.
        outside: absolute links that an interpreter may be meant with, by name: they are not made.
    """

    tarball: Tarball
    name: str
    folder: Path
    limits: Limits
    outside: dict[str, str] = attrs.field(factory=dict, init=False)
    _files: set[str] = attrs.field(factory=set, init=False)
    _folders: set[str] = attrs.field(factory=set, init=False)
    _links: dict[str, str] = attrs.field(factory=dict, init=False)
    _bytes: int = attrs.field(default=0, init=False)

    def steps(self) -> Iterator[None]:
        """Does it all, a piece at a time, so that it can be left in between.

        Raises:
            UnusableEnvironment: the archive is refused, or there is no room for it.
        """
        for entries, member in enumerate(self.tarball.members(), 1):
            name = self._check_name(member)
            if not name and not member.isdir():
                raise self._refusal(member.name, "has no name")
            if name:
                with self._explaining(name):
                    yield from self._take(name, member)
            self._check_entries(entries)
        self._make_links()

    def _check_entries(self, members: int) -> None:
        """Folders count too that no member has named but as a part of its own name."""
        made = len(self._files) + len(self._folders) + len(self._links)
        if max(members, made) > self.limits.entries:
            raise UnusableEnvironment(
                f"{self.name} has more than {self.limits.entries} files, folders and links; "
                "where that is right, raise environment_max_entries"
            )

    def _take(self, name: str, member: tarfile.TarInfo) -> Iterator[None]:
        if member.isdir():
            self._make_folder(name)
        elif member.issym():
            self._note_link(name, member.linkname)
        elif member.islnk():
            self._make_hard_link(name, member)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
            yield from self._write(name, member)
        else:
            raise self._refusal(name, "is no file, folder or link")
        yield

    def _check_name(self, member: tarfile.TarInfo) -> str:
        """The path of a member below the folder; empty for the folder itself."""
        name = member.name
        if name.startswith("/"):
            raise self._refusal(name, "has an absolute name")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self._refusal(name, "leads out of the environment's folder")
        if "\0" in name:
            raise self._refusal(name, "has a name that no file can have")
        if len(parts) > _DEEPEST or len(name) > _LONGEST:
            raise self._refusal(name, "has a name that is too long, or in too many folders")
        return "/".join(parts)

    def _make_folder(self, name: str) -> None:
        """The folder, and those it is in."""
        parts = name.split("/") if name else []
        for end in range(1, len(parts) + 1):
            each = "/".join(parts[:end])
            if each in self._folders:
                continue
            if each in self._files or each in self._links:
                raise self._refusal(name, f"has {each!r} for a folder, which is none")
            (self.folder / each).mkdir(mode=0o755)
            self._folders.add(each)

    def _make_room(self, name: str) -> None:
        """Nothing is there that has the name of a file to come; the last of a name counts."""
        if name in self._folders or name in self._links:
            raise self._refusal(name, "is a file and something else too")
        self._make_folder(posixpath.dirname(name))
        if name in self._files:
            (self.folder / name).unlink()
        self._files.add(name)

    def _write(self, name: str, member: tarfile.TarInfo) -> Iterator[None]:
        self._bytes += member.size
        if self._bytes > self.limits.bytes:
            raise UnusableEnvironment(
                f"{self.name} unpacks to more than {self.limits.bytes} bytes; where that is "
                "right, raise environment_max_bytes"
            )
        self._make_room(name)
        target = os.open(self.folder / name, _NEW, 0o600)
        with os.fdopen(target, "wb", buffering=0) as file:
            for piece in self.tarball.pieces(member):
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
                yield
            os.fchmod(target, 0o755 if member.mode & 0o100 else 0o644)
            # A compiled module counts only while its source has the time that it was made of.
            time = int(min(max(0, member.mtime), _LATEST))  # in this order "nan" is 0
            os.utime(target, (time, time))

    def _make_hard_link(self, name: str, member: tarfile.TarInfo) -> None:
        other = "/".join(part for part in member.linkname.split("/") if part not in ("", "."))
        if other not in self._files or member.linkname.startswith("/"):
            raise self._refusal(name, f"is a link to {member.linkname!r}, no file before it")
        if name != other:
            self._make_room(name)
            os.link(self.folder / other, self.folder / name)

    def _note_link(self, name: str, target: str) -> None:
        known = self._links.get(name, target)
        if name in self._files or name in self._folders or known != target:
            raise self._refusal(name, "is a link and something else too")
        if not target or "\0" in target or len(target) > _LONGEST:
            raise self._refusal(name, "is a link to what no file can be called")
        self._make_folder(posixpath.dirname(name))
        self._links[name] = target

    def _make_links(self) -> None:
        """Makes the links, and refuses those that lead out, by whatever way."""
        for name, target in self._links.items():
            if target.startswith("/"):
                self.outside[name] = target
            else:
                with self._explaining(name):
                    (self.folder / name).symlink_to(target)
        root = os.path.realpath(self.folder)
        for name in self._links.keys() - self.outside.keys():
            real = os.path.realpath(self.folder / name)
            if real != root and not real.startswith(f"{root}/"):
                target = self._links[name]
                raise self._refusal(name, f"is a link out of the environment, to {target!r}")

    def _refusal(self, name: str, problem: str) -> UnusableEnvironment:
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        return UnusableEnvironment(
            f"{self.name} is refused: its member {shown!r} {problem}; pack the environment with "
            "conda-pack or venv-pack"
        )

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        """Raises what the file system says as UnusableEnvironment."""
        try:
            yield
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnusableEnvironment(
                f"{self.name} cannot be unpacked below environments_dir: {name!r}: {reason}, after "
                f"{self._bytes} bytes"
            ) from None
