from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import Parameters
from mlserver_core.wire.parameters import decode_parameters, encode_parameters, to_choices

REQUEST = load_messages().get("inference.ModelInferRequest")
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name not in {"content_type", "headers"})
CARRIED = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)


@given(st.dictionaries(NAMES, CARRIED, max_size=5))
def test_what_grpc_can_carry_comes_back_with_its_type(values):
    message = REQUEST()
    encode_parameters(Parameters(**values), message.parameters)
    read = REQUEST.FromString(message.SerializeToString())
    decoded = decode_parameters(read.parameters)
    assert (decoded.to_plain() if decoded else {}) == values
    for name, value in values.items():
        assert type(decoded.to_plain()[name]) is type(value)


def test_every_parameter_is_sent_or_warned_of(caplog):
    values = {"a": [1], "b": {"c": 1}, "d": 2**64, "e": b"f", "g": 1.5, "h": None}
    with caplog.at_level(logging.WARNING, "mlserver"):
        sent = [name for name, _, _ in to_choices(Parameters(**values))]
    warned = [record.args[0] for record in caplog.records]
    assert sorted(sent + warned) == sorted(values)
    assert sent == ["g", "h"]
