from __future__ import annotations

from contextlib import nullcontext

import pytest

from mlserver_core.custom_handlers import CustomHandler
from mlserver_core.engine.route_table import Route, RouteTable
from mlserver_core.errors import RuntimeFailed


def route(path, method="POST", model="m", version=None, handler="h"):
    return Route(
        model=model,
        version=version,
        handler=handler,
        function=print,
        custom=CustomHandler(path, method),
    )


@pytest.mark.parametrize(
    ("pattern", "path", "variables"),
    [
        ("/a", "/a", {}),
        ("/a", "/a/", None),
        ("/a", "/ab", None),
        ("/a.b", "/axb", None),
        ("/items/{name}", "/items/7", {"name": "7"}),
        ("/items/{name}", "/items/7/8", None),
        ("/items/{name}", "/items/", None),
        ("/items/{name}/{part}", "/items/7/x", {"name": "7", "part": "x"}),
        ("/files/{rest:path}", "/files/a/b", {"rest": "a/b"}),
        ("/", "/", {}),
    ],
)
def test_a_path_is_matched_whole_with_its_variables(pattern, path, variables):
    assert route(pattern).match(path) == variables
    found = RouteTable.of([route(pattern)]).find("POST", path)
    assert (found and found.variables) == variables


def test_a_path_without_variables_wins():
    table = RouteTable.of([route("/{any}", handler="any"), route("/one", handler="one")])
    assert table.find("POST", "/one").route.handler == "one"
    assert table.find("POST", "/two").route.handler == "any"


def test_the_verb_has_to_fit_and_get_answers_head():
    table = RouteTable.of([route("/a", "GET"), route("/a", "POST", handler="p")])
    assert table.find("HEAD", "/a").route.custom.rest_method == "GET"
    assert table.find("POST", "/a").route.handler == "p"
    assert table.find("PUT", "/a") is None
    assert table.methods("/a") == {"GET", "POST"}
    assert table.methods("/b") == set()


def test_of_routes_that_answer_the_same_the_first_stays():
    table = RouteTable.of([route("/{a}", version="2"), route("/{b}", version="1")])
    assert [each.version for each in table.routes] == ["2"]


@pytest.mark.parametrize(
    ("new", "conflicts"),
    [
        ([route("/{y}", model="n")], True),
        ([route("/{y}", "GET", model="n")], False),
        ([route("/{y}")], False),
        ([route("/{y}", version="2")], False),
        ([route("/other"), route("/other")], True),
    ],
)
def test_a_conflict_is_with_another_model_or_within_one(new, conflicts):
    table = RouteTable.of([route("/{x}")])
    with pytest.raises(RuntimeFailed, match="another rest_path") if conflicts else nullcontext():
        table.check(new)
