from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
TYPES = "counter|gauge|histogram|summary"
ROW = re.compile(rf"^\| `(\w+)` \| ({TYPES}) \| (.*?) ?\| .+ \|$", re.MULTILINE)
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}


def scraped(server):
    """Type and labels of every metric, by name."""
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    accept = {"Accept": "application/openmetrics-text"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=accept)) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def test_every_metric_has_a_row_with_its_type_and_labels(serve, models_folder):
    on = {"MLSERVER_CACHE_ENABLED": "true", "MLSERVER_MODEL_CACHE_ENABLED": "true"}
    server = serve(models_folder, **on)
    body = json.dumps(REQUEST).encode()
    kind = {"Content-Type": "application/json"}
    url = f"{server.url}/v2/models/echo/infer"
    urllib.request.urlopen(urllib.request.Request(url, body, kind)).close()
    documented = {
        name: (type_, set(re.findall(r"`(\w+)`", labels)))
        for name, type_, labels in ROW.findall(PAGE)
    }
    there = scraped(server)
    assert "rest_server_requests_total" in there
    for name, facts in there.items():
        # A series of calls with their status comes with the first call.
        expected = documented[name]
        assert facts in (expected, (expected[0], set())), name
    assert {name for name in documented if not name.startswith("process_")} <= set(there)
