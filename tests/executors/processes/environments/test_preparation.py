"""What conda-pack and venv-pack leave to be done when their archives are unpacked."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.preparation import prepare

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
#: What a program of an environment that was packed elsewhere says where its interpreter is.
CONFIGURATION = b"home = /opt/elsewhere/bin\ninclude-system-site-packages = false\nversion = 3\n"


def link(target):
    return {"type": tarfile.SYMTYPE, "linkname": str(target)}


@pytest.fixture
def venv(tar):
    """Writes an archive as venv-pack does, for a Python and where that was."""

    def write(interpreter, version=HERE, *more, settings=CONFIGURATION):
        return tar(
            (f"lib/python{version}/site-packages", {"type": tarfile.DIRTYPE}),
            ("bin/python", link(f"python{version}")),
            (f"bin/python{version}", link(interpreter)),
            ("pyvenv.cfg", settings),
            *more,
        )

    return write


def test_an_archive_of_venv_pack_runs_where_it_was_unpacked(take, packed, store):
    store.limits = type(store.limits)(bytes=2**31, entries=100_000)
    folder = take(packed)
    code = "import sys, toydep; print(sys.prefix, toydep.VERSION)"
    said = subprocess.check_output([folder / "bin" / "python", "-c", code], text=True)
    assert said.split() == [str(folder), "2.0"]


def test_an_interpreter_that_is_elsewhere_here_is_linked_anew_and_its_home_noted(take, venv):
    # Without mlserver-core in it no worker runs there: that it could be asked is the point.
    with pytest.raises(UnusableEnvironment, match="mlserver-core is not installed in it"):
        take(venv(f"/opt/elsewhere/bin/python{HERE}"))


def test_the_interpreter_of_an_archive_is_preferred_where_it_is_the_right_one(tmp_path):
    (tmp_path / "lib" / f"python{HERE}").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_bytes(CONFIGURATION)
    mine = tmp_path / f"python{HERE}"
    mine.symlink_to(sys.executable)
    prepare(tmp_path, {f"bin/python{HERE}": str(mine)}, 0, threading.Event())
    assert (tmp_path / "bin" / f"python{HERE}").readlink() == mine
    assert f"home = {tmp_path}\n" in (tmp_path / "pyvenv.cfg").read_text()


def test_a_script_that_chooses_a_python_by_its_own_name_is_not_linked_to(tmp_path):
    (tmp_path / "lib" / f"python{HERE}").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    chooser = tmp_path / f"python{HERE}"
    chooser.write_text(
        f'#!/bin/sh\n[ "${{0##*/}}" = python{HERE} ] && exec {sys.executable} "$@"\nexit 1\n'
    )
    chooser.chmod(0o755)
    prepare(tmp_path, {"bin/python": str(chooser)}, 0, threading.Event())
    assert str((tmp_path / "bin" / "python").readlink()) == sys.executable


def test_nothing_is_written_through_a_link_to_the_interpreter(take, venv, store, tmp_path):
    python = tmp_path / "elsewhere" / f"python{HERE}"
    python.parent.mkdir()
    text = f"#!/bin/sh\n: '\nhome = /usr/bin\n'\nexec {sys.executable} \"$@\"\n"
    python.write_text(text)
    python.chmod(0o755)
    archive = venv(python, HERE, settings=link("bin/python"))
    with contextlib.suppress(UnusableEnvironment):  # whether that runs is not the point
        take(archive)
    assert python.read_text() == text


def test_settings_of_a_virtual_environment_that_are_no_text_are_an_error_that_names_the_archive(
    take, venv
):
    archive = venv(os.path.realpath(sys.executable), settings=b"home = /x\nprompt = \xff\n")
    with pytest.raises(UnusableEnvironment, match=archive.name):
        take(archive)


@pytest.mark.parametrize("version", ["3.99", "9.9"])
def test_without_an_interpreter_of_that_version_the_version_is_named(take, venv, store, version):
    # The one that is named is there, and is another: packages of one fit no other.
    with pytest.raises(UnusableEnvironment, match=f"no Python {version} on this machine"):
        take(venv(os.path.realpath(sys.executable), version))
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("lib/python", "/usr/bin/python3"),
        ("bin/pythonx", "/usr/bin/python3"),
        ("bin/python3", "/etc/passwd"),
        ("bin/python3", "/bin/sh"),
        ("bin/tool", "/usr/bin/python3"),
        ("etc", "/etc"),
    ],
)
def test_no_other_link_out_is_made(take, venv, store, name, target):
    archive = venv(sys.executable, HERE, (name, link(target)))
    with pytest.raises(UnusableEnvironment, match=f"'{name}' in it is a link to '{target}'"):
        take(archive)
    assert list(store.folder.iterdir()) == []


def test_an_environment_in_a_folder_of_its_own_is_told_so(take, tar, store):
    archive = tar(("bare/bin/python3", link("/usr/bin/python3")), ("bare/lib/python3.11/x", b""))
    with pytest.raises(UnusableEnvironment, match="is in a folder of its own in it, 'bare'"):
        take(archive)
    assert list(store.folder.iterdir()) == []


def test_an_archive_without_packages_is_no_environment(take, tar):
    with pytest.raises(UnusableEnvironment, match=r"no lib/python3\.X folder"):
        take(tar(("bin/python", link("/opt/elsewhere/python3"))))


@pytest.fixture
def conda(tmp_path) -> Path:
    """Has conda-pack pack an environment. Conda has not made it: there is none of it to be had."""
    made = tmp_path / "made by conda"
    for folder in ("bin", "conda-meta", "etc"):
        (made / folder).mkdir(parents=True)
    (made / "conda-meta" / "history").touch()
    (made / "etc" / "prefix").write_text(f"{made}\n")
    return made


def pack(made: Path) -> Path:
    archive = made.with_name("environment.tar.gz")
    code = f"import conda_pack; conda_pack.pack(prefix={str(made)!r}, output={str(archive)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    return archive


def test_conda_unpack_writes_the_final_place_into_the_files(conda, environment, store, take):
    python = conda / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{environment}/bin/python" "$@"\n')
    python.chmod(0o755)
    store.limits = type(store.limits)(bytes=2**31, entries=1000)
    folder = take(pack(conda))
    assert (folder / "etc" / "prefix").read_text() == f"{folder}\n"


def test_a_conda_unpack_that_fails_is_an_error_and_leaves_nothing(conda, store, take):
    python = conda / "bin" / "python"
    python.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(UnusableEnvironment, match="ended with code 1: no room"):
        take(pack(conda))
    assert list(store.folder.iterdir()) == []
