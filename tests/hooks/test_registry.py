from __future__ import annotations

import pytest

from mlserver_core.errors import PluginError
from mlserver_core.hooks.registry import LayeredRegistry, OrderedRegistry, Registry


@pytest.fixture(params=[Registry, OrderedRegistry])
def registry(request):
    return request.param("runtime")


def test_what_is_added_is_found_with_its_owner(registry):
    with registry.owned_by("first"):
        registry.add("a", 1)
        with registry.owned_by("second"):
            registry.add("b", 2)
        registry.add("c", 3)
    registry.add("d", 4)
    assert registry.items() == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert list(registry) == ["a", "b", "c", "d"]
    owners = [registry.owner(name) for name in registry]
    assert owners == ["first", "second", "first", "this program"]
    assert "a" in registry
    assert "x" not in registry
    assert registry.get("a") == 1
    assert registry.get("x") is None
    with pytest.raises(KeyError):
        registry.owner("x")


def test_a_taken_name_is_refused_with_both_plugins(registry):
    with registry.owned_by("first"):
        registry.add("a", 1)
    with registry.owned_by("second"), pytest.raises(PluginError) as refused:
        registry.add("a", 2)
    assert str(refused.value) == (
        "plugin 'second': registers the runtime 'a', which plugin 'first' has registered "
        "already; block one of them with MLSERVER_BLOCK_PLUGINS"
    )
    assert registry.items() == {"a": 1}


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_needed(registry, name):
    with registry.owned_by("first"), pytest.raises(PluginError) as refused:
        registry.add(name, 1)
    assert str(refused.value) == f"plugin 'first': a runtime needs a name, got {name!r}"


def test_the_nearest_name_is_offered(registry):
    registry.add("sklearn", 1)
    assert registry.nearest("skleran") == "sklearn"
    assert registry.nearest("quite-another") is None


def test_the_owner_is_forgotten_also_after_an_error(registry):
    with pytest.raises(ValueError, match="x"), registry.owned_by("first"):
        raise ValueError("x")
    registry.add("a", 1)
    assert registry.owner("a") == "this program"


def test_what_items_returns_is_a_copy(registry):
    registry.add("a", 1)
    registry.items()["b"] = 2
    assert "b" not in registry


@pytest.fixture
def ordered():
    return OrderedRegistry("middleware")


def test_without_wishes_the_order_is_that_of_registration(ordered):
    for name in "cab":
        ordered.add(name, name)
    assert ordered.in_order() == ["c", "a", "b"]


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_before_and_after_are_kept_whatever_comes_first(ordered, names):
    wishes = {"a": {"before": ("b",)}, "b": {}, "c": {"after": ("b",)}}
    for name in names:
        ordered.add(name, name, **wishes[name])
    assert ordered.in_order() == ["a", "b", "c"]


def test_wishes_about_what_never_comes_are_ignored(ordered):
    ordered.add("a", "a", before=("x",), after=("y",))
    ordered.add("b", "b", before=("a",))
    assert ordered.in_order() == ["b", "a"]


def test_a_circle_is_refused_with_its_names(ordered):
    with ordered.owned_by("first"):
        ordered.add("a", 1, before=("b",))
        ordered.add("b", 2, before=("c",))
        ordered.add("c", 3, before=("a",))
    with pytest.raises(PluginError) as refused:
        ordered.in_order()
    text = str(refused.value)
    assert text.startswith("plugin 'first': middleware order is circular: ")
    assert {"a", "b", "c"} == set(text.partition("circular: ")[2].split(" > "))


def test_standing_before_oneself_is_a_circle(ordered):
    ordered.add("a", 1, before=("a",))
    with pytest.raises(PluginError, match="a > a"):
        ordered.in_order()


def test_a_refused_entry_leaves_no_wishes_behind(ordered):
    ordered.add("a", 1)
    ordered.add("b", 2)
    with pytest.raises(PluginError):
        ordered.add("b", 3, before=("a",))
    assert ordered.in_order() == [1, 2]


# Offers, which come and go


def test_an_offer_is_there_until_it_is_withdrawn(registry):
    assert registry.offer("a", 1, "model")
    assert (registry.get("a"), registry.owner("a"), registry.is_offered("a")) == (1, "model", True)
    registry.withdraw("a", 1)
    assert "a" not in registry
    assert not registry.is_offered("a")
    registry.add("a", 2)
    assert not registry.is_offered("a")


def test_a_name_of_another_owner_cannot_be_offered(registry):
    registry.add("a", 1)
    registry.offer("b", 2, "first")
    assert not registry.offer("a", 3, "second")
    assert not registry.offer("b", 3, "second")
    registry.withdraw("b", 3)
    assert registry.items() == {"a": 1, "b": 2}


def test_a_later_offer_of_the_same_owner_stands_before_the_earlier_one(registry):
    for value in ("old", "new", "newest"):
        assert registry.offer("a", value, "model")
    registry.withdraw("a", "new")
    assert registry.get("a") == "newest"
    registry.withdraw("a", "newest")
    assert registry.get("a") == "old"
    registry.withdraw("a", "old")
    assert "a" not in registry


# Layers


def test_a_layer_hides_what_is_below_and_shows_the_rest():
    below = Registry("codec")
    below.add("a", 1)
    below.offer("offered", 2, "other")
    layer = LayeredRegistry("codec", below=below)
    with layer.owned_by("model"):
        layer.add("a", 10)
        layer.add("mine", 30)
    below.add("later", 4)

    assert layer.items() == {"a": 10, "later": 4, "mine": 30, "offered": 2}
    assert list(layer) == ["a", "later", "mine", "offered"]
    assert [layer.get(name) for name in ("a", "later", "x")] == [10, 4, None]
    assert [layer.owner(name) for name in ("a", "offered")] == ["model", "other"]
    assert "later" in layer
    assert "x" not in layer
    assert layer.nearest("lader") == "later"
    assert below.items() == {"a": 1, "offered": 2, "later": 4}
