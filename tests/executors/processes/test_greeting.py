from __future__ import annotations

import hashlib
import json

import attrs
import pytest

from mlserver_core.executors.processes import object_values, values
from mlserver_core.executors.processes.frames import HEADER_SIZE, PROTOCOL, Kind
from mlserver_core.executors.processes.greeting import make_init, mismatch, read_init
from mlserver_core.settings import CORSSettings, Settings

#: What server and worker of a protocol agree on. Where this fails, something of that has changed,
#: and a worker of an earlier release would not understand it: raise ``PROTOCOL``, if a release had
#: the one before, and put the new digest here.
DIGESTS = {1: "3c583998d95c0ff3"}


def digest():
    """Frames, forms, and the fields of all that travels by its fields."""
    facts = {
        "header": HEADER_SIZE,
        "kinds": {kind.name: kind.value for kind in Kind},
        "forms": sorted(values._UNPACK),
        "fields": {
            cls.__name__: sorted(field.name for field in attrs.fields(cls))
            for cls in object_values._CLASSES
        },
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def test_a_change_of_what_is_said_is_a_change_of_the_protocols_number():
    assert DIGESTS[PROTOCOL] == digest()


def test_settings_and_levels_arrive_as_they_were():
    settings = Settings(host="::1", cors_settings=CORSSettings(allow_origins=["*"]))
    init = values.unpack(*_sent(make_init(settings, {"": 30, "a": 10})))
    assert read_init(init) == (settings, {"": 30, "a": 10})


def test_the_number_can_be_read_whatever_else_is_said():
    init = make_init(Settings(), {}) | {"protocol": PROTOCOL + 1, "words": b"of tomorrow"}
    init = values.unpack(*_sent(init))
    assert init["protocol"] == PROTOCOL + 1
    assert read_init(init) is None


@pytest.mark.parametrize(
    ("protocol", "release", "text"),
    [
        (PROTOCOL + 1, "9.9", f"its mlserver-core 9.9 speaks protocol {PROTOCOL + 1} "),
        (None, "0.0.1", "its mlserver-core 0.0.1 speaks no numbered protocol "),
        (None, None, "its mlserver-core of unknown version speaks no numbered protocol "),
    ],
)
def test_a_mismatch_names_both_sides_and_what_to_install(protocol, release, text):
    said = mismatch(protocol, release)
    assert said.startswith(text)
    assert f"speaks protocol {PROTOCOL}; install mlserver-core==" in said


def test_of_the_same_protocol_any_release_will_do():
    assert mismatch(PROTOCOL, "9.9") == ""


def _sent(body):
    words, buffers = values.pack(body)
    return words, bytearray(b"".join(map(bytes, buffers)))
