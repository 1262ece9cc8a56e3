"""Reads the manifests of ``deploy/``, as strictly as a cluster does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice, of which PyYAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{self.name}:{node.start_mark.line + 1}: twice: {twice}"
        return super().construct_mapping(node, deep)


@pytest.fixture
def read() -> Callable[[str], dict[str, Any]]:
    """Reads the one object in a file below ``deploy/``."""

    def read_file(path: str) -> dict[str, Any]:
        with (DEPLOY / path).open(encoding="utf-8") as file:
            return yaml.load(file, UniqueKeys)

    return read_file


@pytest.fixture
def pods(read) -> Callable[[str], Iterator[dict[str, Any]]]:
    """The specs of pods that a manifest describes, whichever kind it is of."""

    def find_pods(path: str) -> Iterator[dict[str, Any]]:
        spec = read(path).get("spec", {})
        yield from (
            found
            for found in (
                spec.get("template", {}).get("spec"),
                spec.get("podSpec"),
                spec.get("predictor"),
                spec if "containers" in spec else None,
            )
            if found and "containers" in found
        )

    return find_pods


@pytest.fixture
def server_container(pods) -> Callable[[str], dict[str, Any]]:
    """The container of a manifest in which this server runs."""

    def find_container(path: str) -> dict[str, Any]:
        (pod,) = pods(path)
        names = ("mlserver", "kserve-container")
        (found,) = [each for each in pod["containers"] if each["name"] in names]
        return found

    return find_container


@pytest.fixture
def environment(server_container, read) -> Callable[[str], dict[str, str]]:
    """The variables that a manifest gives to this server."""

    def find_environment(path: str) -> dict[str, str]:
        if path.startswith("compose/"):
            return dict(read(path)["services"]["mlserver"]["environment"])
        return {each["name"]: each["value"] for each in server_container(path)["env"]}

    return find_environment
