"""What travels beside a request."""

import time

from mlserver_core.types.context import RequestContext, request_context


def test_a_request_without_transport_comes_from_the_engine():
    context = RequestContext()

    assert context.transport == "engine"
    assert context.headers == {}


def test_without_a_deadline_time_is_not_limited():
    assert RequestContext().remaining() is None


def test_remaining_time_is_counted_from_the_clock_and_never_below_zero():
    assert 3500 < RequestContext(deadline=time.monotonic() + 3600).remaining() <= 3600
    assert RequestContext(deadline=time.monotonic() - 1).remaining() == 0


def test_outside_of_a_request_there_is_no_context():
    assert request_context() is None


def test_each_context_has_headers_of_its_own():
    assert RequestContext().headers is not RequestContext().headers
