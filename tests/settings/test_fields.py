"""How a setting is declared, and the validators of settings."""

import math

import attrs
import pytest

from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.settings.fields import Effect, above, at_least, effect_of, one_of, port, setting


@attrs.define
class Sample:
    """A setting of each kind."""

    kind: str | None = setting("A kind.", default="a", validator=one_of("a", "b"))
    size: float | None = setting("A size.", Effect.LATER, default=1, validator=at_least(1))
    port: int = setting("A port.", Effect.NONE, default=0, validator=port)
    plain: int = 0


def test_a_setting_knows_its_help_and_effect():
    fields = attrs.fields_dict(Sample)

    assert fields["kind"].metadata["help"] == "A kind."
    assert [effect_of(field) for field in fields.values()] == [
        Effect.ACTIVE,
        Effect.LATER,
        Effect.NONE,
        Effect.ACTIVE,
    ]


@pytest.mark.parametrize("value", ["a", "b", None])
def test_one_of_takes_its_words_and_none(value):
    assert Sample(kind=value).kind == value


@pytest.mark.parametrize("value", ["c", "A", ""])
def test_one_of_refuses_other_words_and_names_them(value):
    with pytest.raises(ValueError) as caught:
        Sample(kind=value)

    assert str(caught.value) == f"expected one of a, b, got {value!r}"


@pytest.mark.parametrize("value", [1, 1.5, math.inf, None])
def test_at_least_takes_the_minimum_and_more(value):
    assert Sample(size=value).size == value


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (0.9, "0.9"), (math.nan, "nan")])
def test_at_least_refuses_less_and_nan(value, shown):
    with pytest.raises(ValueError) as caught:
        Sample(size=value)

    assert str(caught.value) == f"expected at least 1, got {shown}"


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (-1.5, "-1.5"), (math.nan, "nan")])
def test_above_refuses_the_limit_what_is_below_and_nan(value, shown):
    field = attrs.fields(Sample).size
    above(0)(None, field, 0.001)
    above(0)(None, field, None)
    with pytest.raises(ValueError) as caught:
        above(0)(None, field, value)

    assert str(caught.value) == f"expected more than 0, got {shown}"


@pytest.mark.parametrize("value", [0, 1, 65535])
def test_a_port_is_from_0_to_65535(value):
    assert Sample(port=value).port == value


@pytest.mark.parametrize("value", [-1, 65536])
def test_another_port_is_refused_and_named(value):
    with pytest.raises(ValueError) as caught:
        Sample(port=value)

    assert str(caught.value) == f"expected a port from 0 to 65535, got {value}"


@pytest.mark.parametrize("cls", [Settings, ModelSettings])
def test_every_setting_says_what_it_is_for(cls):
    helps = [field.metadata.get("help") for field in attrs.fields(cls)]

    assert all(text.endswith(".") for text in helps if text)
    internal = [f.name for f in attrs.fields(cls) if "help" not in f.metadata]
    assert internal == (["source", "policy"] if cls is ModelSettings else [])
