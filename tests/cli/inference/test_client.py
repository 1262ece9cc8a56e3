"""Tries of a call."""

from __future__ import annotations

import email.utils
import time

import pytest

from mlserver_core.cli.inference import client as module
from mlserver_core.cli.inference.client import (
    CallFailed,
    back_off,
    infer_patiently,
    parse_retry_after,
)


@pytest.fixture
def waits(monkeypatch):
    """The waits between tries, none of which takes time."""
    waited = []

    async def wait(seconds):
        waited.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", wait)
    return waited


def failing(parts, *errors):
    """A client that fails with each error and then answers."""
    left = list(errors)

    async def answer(request):
        if left:
            raise left.pop(0)
        return "answer"

    return parts.client(answer)


async def test_a_call_that_may_succeed_later_is_tried_again(parts, waits):
    client = failing(parts, *[CallFailed("no", may_retry=True)] * 3)
    assert await infer_patiently(client, "request", {"a": "b"}, 3) == "answer"
    assert client.headers == [{"a": "b"}] * 4
    assert len(waits) == 3


@pytest.mark.parametrize("retries", [0, 2])
async def test_no_call_is_tried_more_often_than_that(parts, waits, retries):
    client = failing(parts, *[CallFailed("no", may_retry=True)] * 9)
    with pytest.raises(CallFailed, match="no"):
        await infer_patiently(client, "request", {}, retries)
    assert len(client.requests) == retries + 1


async def test_a_refused_call_is_not_tried_again(parts, waits):
    client = failing(parts, CallFailed("400: no"))
    with pytest.raises(CallFailed):
        await infer_patiently(client, "request", {}, 3)
    assert (len(client.requests), waits) == (1, [])


async def test_the_server_says_how_long_to_wait_at_least(parts, waits):
    errors = [CallFailed("no", may_retry=True, retry_after=77), CallFailed("no", may_retry=True)]
    await infer_patiently(failing(parts, *errors), "request", {}, 2)
    assert waits[0] == 77
    assert waits[1] < 2


def test_waits_double_up_to_half_a_minute():
    for attempt, longest in enumerate([0.5, 1, 2, 4, 8, 16, 30, 30]):
        assert longest / 2 <= back_off(attempt) <= longest
    assert back_off(10**9) <= 30


def test_waits_differ_so_that_workers_do_not_come_back_at_once():
    assert len({back_off(5) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2), ("0.5", 0.5), ("-1", 0), ("", 0), (None, 0), ("soon", 0), ("nan", 0), ("inf", 0)],
)
def test_retry_after_has_seconds(value, seconds):
    assert parse_retry_after(value) == seconds


def test_retry_after_may_be_a_date():
    past, future = (
        email.utils.formatdate(time.time() + offset, usegmt=True) for offset in (-1000, 1000)
    )
    assert parse_retry_after(past) == 0
    assert 0 < parse_retry_after(future) <= 1000
