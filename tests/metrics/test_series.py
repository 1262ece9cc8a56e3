"""Our series look in Prometheus's texts as prometheus_client's own do."""

from __future__ import annotations

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from mlserver_core.metrics import series

seconds = st.floats(0, 100) | st.sampled_from(series.SECONDS[:-1])
WRITERS = {"plain": generate_latest, "OpenMetrics": openmetrics.generate_latest}


def text_of(registry, write):
    lines = write(registry).decode().splitlines()
    return sorted(line for line in lines if "_created{" not in line)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@given(observed=st.lists(st.tuples(st.sampled_from("ab"), seconds)))
def test_texts_are_those_of_prometheus_client(write, observed):
    texts = []
    for kinds in (prometheus_client, series):
        registry = CollectorRegistry()
        counter = kinds.Counter("calls", "Calls.", ("who",), registry=registry)
        gauge = kinds.Gauge("now", "Now.", ("who",), registry=registry)
        summary = kinds.Summary("took", "Took.", ("who",), registry=registry)
        histogram = kinds.Histogram("took_seconds", "Took.", ("who",), registry=registry)
        for who, value in observed:
            counter.labels(who).inc()
            gauge.labels(who).inc()
            summary.labels(who).observe(value)
            histogram.labels(who).observe(value)
        gauge.labels("a").dec()
        texts.append(text_of(registry, write))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("value", "told"), [("true", False), ("1", False), ("no", True)])
def test_when_a_series_began_is_told_unless_the_operator_says_otherwise(monkeypatch, value, told):
    monkeypatch.setenv("PROMETHEUS_DISABLE_CREATED_SERIES", value)
    registry = CollectorRegistry()
    series.Counter("calls", "Calls.", ("who",), registry=registry).labels("a").inc()
    assert ("calls_created" in generate_latest(registry).decode()) is told


def test_a_series_that_is_removed_is_gone_and_begins_anew():
    registry = CollectorRegistry()
    counter = series.Counter("calls", "Calls.", ("who",), registry=registry)
    counter.labels("a").inc()
    counter.remove("a")
    counter.remove("b")
    assert registry.get_sample_value("calls_total", {"who": "a"}) is None
    counter.labels("a").inc()
    assert registry.get_sample_value("calls_total", {"who": "a"}) == 1


def test_a_name_is_taken_once():
    registry = CollectorRegistry()
    series.Counter("calls", "Calls.", (), registry=registry)
    with pytest.raises(ValueError, match="calls"):
        prometheus_client.Counter("calls", "Calls.", registry=registry)
