"""Against the schemas of Kubernetes, where no unknown field passes: of the oldest release that the
pages name, and of the newest that is known.

KServe's and Seldon's objects hold pods of Kubernetes; those are checked here too.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="it has the schemas")

DEPLOY = Path(__file__).parents[2] / "deploy"
RELEASES = ["1.29", kubernetes_validate.latest_version()]
OBJECTS = [
    "kubernetes/deployment.yaml",
    "kubernetes/service.yaml",
    "kubernetes/poddisruptionbudget.yaml",
    "kubernetes/networkpolicy.yaml",
    "kubernetes/networkpolicy-ingress-controller.yaml",
    "seldon-core-2/networkpolicy.yaml",
]
PODS = [
    "kserve/clusterservingruntime.yaml",
    "kserve/clusterservingruntime-grpc.yaml",
    "kserve/inferenceservice-custom.yaml",
    "seldon-core-2/serverconfig.yaml",
]
#: What of these is no field of a pod's spec; KServe's own classes have it (test_kserve_models.py).
OF_KSERVE = {
    "annotations",
    "supportedModelFormats",
    "protocolVersions",
    "minReplicas",
    "maxReplicas",
}


def validate(manifest, release):
    kubernetes_validate.validate(manifest, release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("path", OBJECTS)
def test_object_is_valid(read, path, release):
    validate(read(path), release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("path", PODS)
def test_pod_inside_is_valid(pods, path, release):
    (pod,) = pods(path)
    claims = [{"name": "mlserver-models", "emptyDir": {}}] if path.startswith("seldon") else []
    spec = {name: value for name, value in pod.items() if name not in OF_KSERVE}
    spec["volumes"] = [*spec["volumes"], *claims]
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}, release)
    mounted = {each["name"] for part in spec["containers"] for each in part["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]}


@pytest.mark.parametrize("release", RELEASES)
def test_claim_of_the_serverconfig_is_valid(read, release):
    (claim,) = read("seldon-core-2/serverconfig.yaml")["spec"]["volumeClaimTemplates"]
    assert set(claim) == {"name", "spec"}  # Seldon's own type: no metadata
    metadata = {"name": claim["name"]}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    validate({**kind, "metadata": metadata, "spec": claim["spec"]}, release)


def test_misspelt_field_would_be_found(read):
    broken = copy.deepcopy(read("kubernetes/deployment.yaml"))
    (container,) = broken["spec"]["template"]["spec"]["containers"]
    container["readynessProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        validate(broken, RELEASES[0])


def test_kustomization_has_every_manifest_that_all_need_and_the_image(read, server_container):
    kustomization = read("kubernetes/kustomization.yaml")
    files = {path.name for path in (DEPLOY / "kubernetes").iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files - {"networkpolicy-ingress-controller.yaml"}
    (image,) = kustomization["images"]
    name, tag = server_container("kubernetes/deployment.yaml")["image"].split(":")
    assert (image["name"], image["newTag"]) == (name, tag)


def test_selectors_and_port_names_lead_to_the_pods(read):
    template = read("kubernetes/deployment.yaml")["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    ports = {each["name"] for each in container["ports"]}
    service = read("kubernetes/service.yaml")["spec"]
    policy = read("kubernetes/networkpolicy.yaml")["spec"]
    budget = read("kubernetes/poddisruptionbudget.yaml")["spec"]
    assert service["selector"].items() <= labels
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert budget["selector"]["matchLabels"].items() <= labels
    assert {each["targetPort"] for each in service["ports"]} <= ports
    assert {each["port"] for rule in policy["ingress"] for each in rule["ports"]} == ports


def test_policy_for_a_controller_adds_its_pods_only_and_takes_nothing_away(read):
    first = read("kubernetes/networkpolicy.yaml")
    second = read("kubernetes/networkpolicy-ingress-controller.yaml")
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert second["spec"]["podSelector"] == first["spec"]["podSelector"]
    assert second["spec"]["policyTypes"] == ["Ingress"]
    (rule,) = second["spec"]["ingress"]
    (peer,) = rule["from"]  # two items would be: or
    assert set(peer) == {"namespaceSelector", "podSelector"}
    assert rule["ports"] == first["spec"]["ingress"][0]["ports"]


def test_scrape_annotations_name_the_metrics(read):
    template = read("kubernetes/deployment.yaml")["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    (container,) = template["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert annotations["prometheus.io/port"] == str(ports["metrics"])
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/path"] == "/metrics"
