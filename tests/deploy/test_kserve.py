"""What KServe makes of its manifests, as far as it can be told without a cluster.

Their fields are checked against KServe's own classes in ``test_kserve_models.py``, in an
environment that has them.
"""

from __future__ import annotations

import pytest

RUNTIMES = ["kserve/clusterservingruntime.yaml", "kserve/clusterservingruntime-grpc.yaml"]
SERVICES = {
    "kserve/inferenceservice.yaml": RUNTIMES[0],
    "kserve/inferenceservice-grpc.yaml": RUNTIMES[1],
}


@pytest.mark.parametrize("path", RUNTIMES)
def test_runtime_is_for_the_formats_that_we_have(read, path):
    formats = {each["name"] for each in read(path)["spec"]["supportedModelFormats"]}
    assert formats == {"sklearn"}


@pytest.mark.parametrize("path", RUNTIMES)
def test_no_service_of_the_cluster_gets_a_runtime_that_it_does_not_name(read, path):
    formats = read(path)["spec"]["supportedModelFormats"]
    assert [(each["autoSelect"], each.get("priority")) for each in formats] == [(False, None)]


@pytest.mark.parametrize("path", [*RUNTIMES, *SERVICES, "kserve/inferenceservice-custom.yaml"])
def test_no_pod_says_the_time_to_stop_which_knative_refuses(read, path):
    spec = read(path)["spec"]
    assert "terminationGracePeriodSeconds" not in {**spec, **spec.get("predictor", {})}


@pytest.mark.parametrize("path", RUNTIMES)
def test_model_has_the_name_of_its_service_and_its_files_where_kserve_puts_them(environment, path):
    given = environment(path)
    assert given["MLSERVER_MODEL_NAME"] == "{{.Name}}"
    assert given["MLSERVER_MODEL_IMPLEMENTATION"] == "{{.Labels.modelClass}}"
    assert given["MLSERVER_MODEL_URI"] == given["MLSERVER_MODELS_DIR"] == "/mnt/models"


@pytest.mark.parametrize("path", [*RUNTIMES, "kserve/inferenceservice-custom.yaml"])
def test_one_port_which_every_probe_asks_as_knative_demands(server_container, path):
    container = server_container(path)
    (port,) = container["ports"]
    probes = [container["livenessProbe"], container["readinessProbe"]]
    asked = [
        handler["port"]
        for probe in probes
        for how, handler in probe.items()
        if how in ("httpGet", "grpc", "tcpSocket")
    ]
    assert asked == [port["containerPort"]] * 2


def test_grpc_has_the_port_name_by_which_knative_speaks_http2(server_container):
    (port,) = server_container(RUNTIMES[1])["ports"]
    assert port["name"] == "h2c"


@pytest.mark.parametrize(("path", "runtime"), SERVICES.items())
def test_service_asks_for_what_its_runtime_has(read, path, runtime):
    model = read(path)["spec"]["predictor"]["model"]
    offered = read(runtime)
    assert model["runtime"] == offered["metadata"]["name"]
    assert [model["protocolVersion"]] == offered["spec"]["protocolVersions"]
    formats = [
        {"name": each["name"], "version": each["version"]}
        for each in offered["spec"]["supportedModelFormats"]
    ]
    assert model["modelFormat"] in formats
    assert read(path)["metadata"]["labels"]["modelClass"] == "mlserver_sklearn.SKLearnModel"
