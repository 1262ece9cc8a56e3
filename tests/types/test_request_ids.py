from __future__ import annotations

import os
import random
import uuid

from mlserver_core.types.request_ids import make_request_id


def test_an_id_is_a_uuid_of_version_4():
    for _ in range(200):
        id = make_request_id()
        parsed = uuid.UUID(id)
        assert (str(parsed), parsed.version, parsed.variant) == (id, 4, uuid.RFC_4122)


def test_ids_differ_though_a_model_seeds_random():
    ids = set()
    for _ in range(50):
        random.seed(0)
        ids.add(make_request_id())
    assert len(ids) == 50


def test_a_child_of_the_process_makes_other_ids():
    make_request_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, make_request_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 36
    assert theirs != make_request_id()
