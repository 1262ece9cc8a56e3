from __future__ import annotations

import pytest

from mlserver_core.custom_handlers import CustomHandler, custom_handler, find_custom_handlers


def test_a_mark_has_path_and_verb_and_leaves_the_function_as_it_is():
    class Model:
        @custom_handler(rest_path="/a")
        @custom_handler(rest_path="/b", rest_method="get")
        def explain(self):
            return "explained"

        def other(self): ...

    class Child(Model): ...

    assert Model().explain() == "explained"
    expected = [("explain", CustomHandler("/b", "GET")), ("explain", CustomHandler("/a", "POST"))]
    assert list(find_custom_handlers(Model())) == expected
    assert list(find_custom_handlers(Child())) == expected


@pytest.mark.parametrize(
    ("path", "method", "text"),
    [("a", "POST", "has to begin with '/'"), ("/a", "FETCH", "got 'FETCH'")],
)
def test_a_path_without_slash_or_an_unknown_verb_is_refused(path, method, text):
    with pytest.raises(ValueError, match=text):
        custom_handler(rest_path=path, rest_method=method)
