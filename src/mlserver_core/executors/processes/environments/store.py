"""Unpacked environments in a folder, one for each content of an archive."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import attrs

from mlserver_core.executors.processes.environments.faults import Abandoned, UnusableEnvironment
from mlserver_core.executors.processes.environments.members import Limits, Unpacking
from mlserver_core.executors.processes.environments.preparation import prepare
from mlserver_core.executors.processes.environments.probe import probe
from mlserver_core.executors.processes.environments.tarballs import Tarball

logger = logging.getLogger("mlserver.parallel")

#: What lies in the folder of one content: the environment, who works on it, and that it is whole.
_ENVIRONMENT, _LOCK, _COMPLETE = "env", "lock", "complete"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIECE = 2**20
#: Seconds between two looks whether another process has done its work.
_LOOK = 0.1


@attrs.frozen(eq=False)
class _Source:
    """An archive that is being read, and what its file was like at the beginning."""

    path: Path
    file: IO[bytes]
    facts: tuple[int, ...]


@attrs.define(eq=False)
class Store:
    """Unpacks archives once, for all servers that have this folder.

    Whoever unpacks one holds a lock that ends with the process. Only what is whole is ever marked
    as such, so what a process leaves that was killed is cleared by the next one. Nothing here is
    for the event loop: it all takes time.

    Attributes:
        folder: with a folder for each content.
        limits: on what an archive unpacks to.
    """

    folder: Path
    limits: Limits
    _digests: dict[tuple[int, ...], str] = attrs.field(factory=dict, init=False)

    def take(self, archive: Path, abandoned: threading.Event) -> tuple[str, Path]:
        """The hash of an archive's content and the folder of its environment, looked at.

        Args:
            archive: a tar file, compressed or not.
            abandoned: is set when nobody waits for this any more.

        Raises:
            UnusableEnvironment: there is no archive, or no worker could run in it.
            Abandoned: somebody has set ``abandoned``; nothing is left behind.
        """
        try:
            with archive.open("rb") as file:
                source = _Source(archive, file, _facts_of(file))
                return self._take(source, abandoned)
        except OSError as error:
            raise self._explain(archive, error) from None

    def _take(self, source: _Source, abandoned: threading.Event) -> tuple[str, Path]:
        known = self._digests.get(source.facts)
        digest = known or _hash(source.file, abandoned)
        place = self.folder / digest
        environment = place / _ENVIRONMENT
        if not (place / _COMPLETE).exists():
            self._unpack(source, place, abandoned)
        elif known is None:
            try:
                _look_at(environment, source, abandoned)
            except UnusableEnvironment as error:
                text = f"{error}; if it has worked before, remove {place} to unpack it anew"
                raise UnusableEnvironment(text) from None
        self._digests[source.facts] = digest
        return digest, environment

    def _unpack(self, source: _Source, place: Path, abandoned: threading.Event) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._clear_leftovers(place)
        lock = _lock(place, abandoned)
        try:
            if not (place / _COMPLETE).exists():  # else another one has done it meanwhile
                logger.info("Unpacking %s into %s", source.path, place)
                self._fill(place / _ENVIRONMENT, source, lock, abandoned)
        except BaseException:
            _remove(place)
            raise
        finally:
            os.close(lock)

    def _fill(self, folder: Path, source: _Source, lock: int, abandoned: threading.Event) -> None:
        """Makes the environment of an archive, in place of what a process has left."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o755)
        source.file.seek(0)
        name = str(source.path)
        unpacking = Unpacking(Tarball(source.file, name), name, folder, self.limits)
        for _ in unpacking.steps():
            _go_on(abandoned)
        try:
            prepare(folder, unpacking.outside, lock, abandoned)
        except UnusableEnvironment as error:
            raise UnusableEnvironment(f"{name}: {error}") from None
        _look_at(folder, source, abandoned)
        _go_on(abandoned)
        if _facts_of(source.file) != source.facts:
            raise UnusableEnvironment(
                f"{name} changed while it was read: put the new one in its place with a rename, "
                "and load the model again"
            )
        folder.parent.chmod(0o755)  # other users may run what root has unpacked for them
        folder.with_name(_COMPLETE).touch()

    def _clear_leftovers(self, place: Path) -> None:
        """Removes what processes have left that were killed while they unpacked."""
        for each in self.folder.iterdir():
            if _DIGEST.fullmatch(each.name) and each != place:
                with suppress(OSError):  # another user is at it
                    if not (each / _COMPLETE).exists():
                        self._clear(each)

    def _clear(self, place: Path) -> None:
        """Removes what is left of an environment, unless somebody is at it, or was until now."""
        with _opened_lock(place / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(lock, place) and not (place / _COMPLETE).exists():
                _remove(place)

    def _explain(self, archive: Path, error: OSError) -> UnusableEnvironment:
        if error.filename is not None and Path(error.filename) == archive:
            return UnusableEnvironment(f"{archive}: {error.strerror}")
        return UnusableEnvironment(
            f"{archive} cannot be unpacked: {error.filename or self.folder}: {error.strerror}; set "
            "environments_dir to a folder that the server can write to, with room for it"
        )


def _lock(place: Path, abandoned: threading.Event) -> int:
    """Makes a folder, and waits until nobody else works in it; gives the lock's descriptor, whose
    end is the lock's.
    """
    while True:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        _check_owner(place)
        with suppress(FileNotFoundError), _opened_lock(place / _LOCK) as lock:
            while not _try_lock(lock):
                if abandoned.wait(_LOOK):
                    raise Abandoned
            if _is_current(lock, place):
                return os.dup(lock)
        # Another one has just removed it, with what it had unpacked.


@contextmanager
def _opened_lock(path: Path) -> Iterator[int]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(lock: int, place: Path) -> bool:
    """Is this file still the lock of the folder, or has that been removed meanwhile?"""
    try:
        return os.path.samestat(os.fstat(lock), (place / _LOCK).stat())
    except FileNotFoundError:
        return False


def _remove(place: Path) -> None:
    """Removes a folder whose lock is held, the lock last."""
    shutil.rmtree(place / _ENVIRONMENT, ignore_errors=True)
    with suppress(OSError):  # what cannot be removed now is cleared later
        (place / _COMPLETE).unlink(missing_ok=True)
        (place / _LOCK).unlink()
        place.rmdir()


def _look_at(environment: Path, source: _Source, abandoned: threading.Event) -> None:
    """Raises UnusableEnvironment where no worker can run in what an archive has become."""
    _check_owner(environment.parent)
    try:
        probe(environment, abandoned)
    except UnusableEnvironment as error:
        raise UnusableEnvironment(f"{source.path}: {error}") from None


def _check_owner(place: Path) -> None:
    """Raises UnusableEnvironment for what another user may have put there, to have it run here."""
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        raise UnusableEnvironment(
            f"{place} belongs to another user, with id {found.st_uid}; set environments_dir to a "
            "folder that nobody else can write to"
        )


def _facts_of(file: IO[bytes]) -> tuple[int, ...]:
    """What is another after a file's content has changed."""
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _hash(file: IO[bytes], abandoned: threading.Event) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
        _go_on(abandoned)
    return digest.hexdigest()


def _go_on(abandoned: threading.Event) -> None:
    if abandoned.is_set():
        raise Abandoned
