"""Against the schema of the Compose specification, which ``check-jsonschema`` carries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("check_jsonschema", reason="it has the schema")

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose" / "compose.yaml"


@pytest.fixture
def service(read):
    return read("compose/compose.yaml")["services"]["mlserver"]


def check(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, path], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_file_is_valid():
    assert check(COMPOSE) == (0, "ok -- validation done\n")


def test_misspelt_key_would_be_found(tmp_path):
    broken = tmp_path / "compose.yaml"
    text = COMPOSE.read_text(encoding="utf-8")
    broken.write_text(text.replace("read_only: true\n    tmpfs", "readonly: true\n    tmpfs"))
    code, said = check(broken)
    assert code == 1
    assert "readonly" in said


def test_service_has_no_rights_and_is_for_this_machine_only(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"][0].startswith("/tmp:")
    (volume,) = service["volumes"]
    assert volume["read_only"] is True
    assert volume["target"] == service["environment"]["MLSERVER_MODELS_DIR"]
    assert (COMPOSE.parent / volume["source"] / "model-settings.json").is_file()
    ports = ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081", "127.0.0.1:8082:8082"]
    assert service["ports"] == ports


def test_image_has_the_runtime_of_the_example(service):
    model = (COMPOSE.parent / service["volumes"][0]["source"] / "model-settings.json").read_text()
    runtime = json.loads(model)["implementation"]
    assert service["image"].endswith(f"-{runtime}")


def test_service_has_the_time_to_finish_and_unload_that_its_comment_says(service):
    grace = float(service["environment"]["MLSERVER_SHUTDOWN_GRACE_PERIOD"])
    assert "MLSERVER_DRAIN_DELAY" not in service["environment"]
    assert 2 * grace + 5 == float(service["stop_grace_period"].removesuffix("s"))


def test_health_check_is_that_of_the_image(service):
    assert "healthcheck" not in service
