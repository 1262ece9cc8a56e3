"""What travels beside a request."""

import attrs
import pytest

from mlserver_core.types.context import RequestContext


def test_a_request_without_transport_comes_from_the_engine():
    context = RequestContext()

    assert context.transport == "engine"
    assert context.headers == {}


def test_context_cannot_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RequestContext().transport = "rest"


def test_each_context_has_headers_of_its_own():
    assert RequestContext().headers is not RequestContext().headers
