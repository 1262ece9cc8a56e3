"""Every field of KServe's manifests is one of KServe's own classes, with a value of its type.

``tox -e kserve`` runs it: kserve cannot share an environment with tritonclient.
"""

from __future__ import annotations

import copy
import re

import pytest

kserve = pytest.importorskip(
    "kserve", reason="kserve is not installed: tox -e kserve has an environment with it"
)
kubernetes = pytest.importorskip("kubernetes", reason="kubernetes comes with kserve")

CLASSES = {
    "ClusterServingRuntime": "V1alpha1ClusterServingRuntime",
    "InferenceService": "V1beta1InferenceService",
}
PLAIN = {"str": str, "int": int, "bool": bool, "float": float, "object": object}
MANIFESTS = [
    "kserve/clusterservingruntime.yaml",
    "kserve/clusterservingruntime-grpc.yaml",
    "kserve/inferenceservice.yaml",
    "kserve/inferenceservice-grpc.yaml",
    "kserve/inferenceservice-custom.yaml",
]


def build(kind, value, path):
    """The object of a class that ``value`` describes.

    Raises:
        AssertionError: an unknown field, or a value of another type, with its path.
        ValueError: of the class: a required field is missing.
    """
    if inner := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        assert isinstance(value, list), f"{path}: expected a list"
        return [build(inner[1], each, f"{path}[{index}]") for index, each in enumerate(value)]
    if inner := re.fullmatch(r"(?:dict\(|Dict\[)str, (.+)[)\]]", kind):
        assert isinstance(value, dict), f"{path}: expected an object"
        return {key: build(inner[1], each, f"{path}.{key}") for key, each in value.items()}
    if kind in PLAIN:
        assert type(value) is PLAIN[kind] or kind == "object", f"{path}: expected {kind}"
        return value
    cls = getattr(kserve, kind, None) or getattr(kubernetes.client, kind, None)
    if cls is None:  # an integer or text, or a quantity, which is either
        assert kind in ("IntOrString", "ResourceQuantity"), f"{path}: unknown type {kind}"
        return value
    fields = {name: field for field, name in cls.attribute_map.items()}
    assert isinstance(value, dict), f"{path}: expected an object"
    assert set(value) <= set(fields), f"{path}: unknown: {sorted(set(value) - set(fields))}"
    made = {
        fields[name]: build(cls.openapi_types[fields[name]], each, f"{path}.{name}")
        for name, each in value.items()
    }
    return cls(**made)


@pytest.mark.parametrize("path", MANIFESTS)
def test_every_field_is_one_of_kserves_classes(read, path):
    manifest = read(path)
    built = build(CLASSES[manifest["kind"]], manifest, manifest["kind"])
    assert built.metadata.name == manifest["metadata"]["name"]
    assert manifest["apiVersion"].startswith("serving.kserve.io/")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("storageURI", "pvc://models/iris", "model: unknown: .'storageURI'"),
        ("protocolVersion", 2, "protocolVersion: expected str"),
        ("ports", {"containerPort": 9000}, "ports: expected a list"),
    ],
)
def test_misspelt_field_or_wrong_value_would_be_found(read, name, value, says):
    broken = copy.deepcopy(read("kserve/inferenceservice.yaml"))
    broken["spec"]["predictor"]["model"][name] = value
    with pytest.raises(AssertionError, match=says):
        build("V1beta1InferenceService", broken, "InferenceService")


def test_missing_required_field_would_be_found(read):
    broken = copy.deepcopy(read("kserve/inferenceservice.yaml"))
    del broken["spec"]["predictor"]
    with pytest.raises(ValueError, match="predictor"):
        build("V1beta1InferenceService", broken, "InferenceService")
