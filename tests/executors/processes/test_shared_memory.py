"""Memory without a name: written once, mapped without a copy, gone with its last user."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from mlserver_core.executors.processes.shared_memory import map_shared, read_shared, write_shared


def open_descriptors():
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("count", [1, 3, 5000])
def test_buffers_come_one_after_the_other(count):
    buffers = [bytes([index % 256]) * (index % 7) for index in range(count)]
    expected = b"".join(buffers)
    descriptor = write_shared([*buffers, b"end"])
    assert bytes(read_shared(descriptor, len(expected) + 3)) == expected + b"end"
    assert bytes(map_shared(descriptor, len(expected) + 3)) == expected + b"end"


def test_a_mapping_is_writable_and_gone_with_its_last_array():
    before = open_descriptors()
    buffer = map_shared(write_shared([bytes(1 << 20)]), 1 << 20)
    array = np.frombuffer(buffer, np.uint8)
    del buffer
    array[:] = 1
    assert array.sum() == 1 << 20
    view = array[5:10]
    del array
    assert view.sum() == 5
    del view
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [9, 11])
def test_memory_of_another_size_than_announced_is_refused(size):
    before = open_descriptors()
    with pytest.raises(OSError, match=f"expected {size} bytes of shared memory, got 10"):
        map_shared(write_shared([bytes(10)]), size)
    assert open_descriptors() == before


def test_memory_that_cannot_be_read_whole_is_refused():
    descriptor = write_shared([bytes(10)])
    with pytest.raises(OSError, match="shared memory ends after 10 of 11 bytes"):
        read_shared(descriptor, 11)
    os.close(descriptor)


def test_without_memfd_a_file_without_a_name_serves(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    descriptor = write_shared([b"ab", b"cd"])
    assert list(tmp_path.iterdir()) == []
    assert bytes(map_shared(descriptor, 4)) == b"abcd"


def test_children_do_not_inherit_it():
    descriptor = write_shared([b"a"])
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
