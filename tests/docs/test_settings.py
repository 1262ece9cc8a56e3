from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from mlserver_core.settings import ModelParameters, ModelSettings, Settings
from mlserver_core.settings.fields import Effect, effect_of

DOCS = Path(__file__).parents[2] / "docs"
EFFECTS = {
    Effect.ACTIVE: "",
    Effect.LATER: " *No effect yet: setting it warns.*",
    Effect.NONE: " *Accepted, without meaning here.*",
}


def table(cls, prefix):
    """The table of settings as the docs have to have it."""
    lines = ["| setting | variable | default | what it is for |", "|---|---|---|---|"]
    for field in attrs.fields(cls):
        if "help" in field.metadata:
            variable = prefix + field.name.upper()
            text = field.metadata["help"] + EFFECTS[effect_of(field)]
            lines.append(f"| `{field.name}` | `{variable}` | {default(field)} | {text} |")
    return "\n".join(lines)


def default(field):
    if field.name == "server_version":
        return "this package's"
    if field.default is attrs.NOTHING:
        return "required"
    value = getattr(field.default, "factory", lambda: field.default)()
    return "unset" if value is None else f"`{json.dumps(value)}`"


@pytest.mark.parametrize(
    ("page", "cls", "prefix"),
    [
        ("settings.md", Settings, "MLSERVER_"),
        ("model-settings.md", ModelSettings, "MLSERVER_MODEL_"),
        ("model-settings.md", ModelParameters, "MLSERVER_MODEL_"),
    ],
)
def test_every_setting_is_documented_with_variable_default_and_effect(page, cls, prefix):
    assert table(cls, prefix) in (DOCS / page).read_text(encoding="utf-8")
