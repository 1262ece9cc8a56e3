"""What the pods of every manifest have in common: rights, probes, ports, time to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlserver_core.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
PODS = [
    "kubernetes/deployment.yaml",
    "kserve/clusterservingruntime.yaml",
    "kserve/clusterservingruntime-grpc.yaml",
    "kserve/inferenceservice-custom.yaml",
    "seldon-core-2/serverconfig.yaml",
]
#: Of Kubernetes, where a manifest says nothing; KServe has no other.
TERMINATION = 30
PORTS = {"http": "MLSERVER_HTTP_PORT", "grpc": "MLSERVER_GRPC_PORT"}


def ports_of(environment):
    """The ports on which a server with these variables listens."""
    defaults = {"http": Settings().http_port, "grpc": Settings().grpc_port}
    return {name: int(environment.get(PORTS[name], defaults[name])) for name in PORTS}


def port_of(container, port):
    named = {each.get("name"): each["containerPort"] for each in container["ports"]}
    return named.get(port, port)


@pytest.mark.parametrize("path", PODS)
def test_the_server_has_no_rights_and_writes_to_tmp_only(pods, server_container, path):
    (pod,) = pods(path)
    container = server_container(path)
    whole = pod.get("securityContext", {})
    own = container["securityContext"]
    assert {**whole, **own}["runAsNonRoot"] is True
    assert {**whole, **own}["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert "emptyDir" in volumes[mounts.pop("/tmp")["name"]]
    assert all(each["readOnly"] for each in mounts.values())


@pytest.mark.parametrize("path", PODS)
def test_probes_ask_the_port_that_the_server_listens_on(server_container, environment, path):
    container = server_container(path)
    ports = ports_of(environment(path))
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name, {})
        for how, expected in (("httpGet", "http"), ("grpc", "grpc"), ("tcpSocket", "grpc")):
            if how in probe:
                assert port_of(container, probe[how]["port"]) == ports[expected]
    assert {each["containerPort"] for each in container["ports"]} <= {*ports.values(), 8082}


@pytest.mark.parametrize("path", PODS)
def test_liveness_never_asks_what_is_false_while_models_load(server_container, path):
    container = server_container(path)
    for name in ("startupProbe", "livenessProbe"):
        probe = container.get(name, {})
        assert "grpc" not in probe  # its health service says SERVING when the server is ready
        assert probe.get("httpGet", {}).get("path", "/v2/health/live") == "/v2/health/live"
    assert container["readinessProbe"]


@pytest.mark.parametrize("path", PODS)
def test_every_probe_may_take_longer_than_the_one_second_of_kubernetes(server_container, path):
    container = server_container(path)
    probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
    assert {"livenessProbe", "readinessProbe"} <= set(probes)
    assert {name: probe.get("timeoutSeconds") for name, probe in probes.items()} == dict.fromkeys(
        probes, 5
    )


@pytest.mark.parametrize("path", PODS)
def test_the_pod_has_time_to_drain_finish_and_unload(pods, environment, path):
    (pod,) = pods(path)
    given = environment(path)
    drain = float(given.get("MLSERVER_DRAIN_DELAY", Settings().drain_delay))
    grace = float(given["MLSERVER_SHUTDOWN_GRACE_PERIOD"])
    needed = drain + 2 * grace + 5
    given_time = pod.get("terminationGracePeriodSeconds", TERMINATION)
    if "lifecycle" in next(each for each in pod["containers"] if "env" in each):
        assert needed < given_time  # the hook of Seldon's agent waits first
    else:
        assert needed == given_time  # the sum that the pages and the comment say
        assert drain >= 5  # nothing else waits until the pod is out of its services


@pytest.mark.parametrize("path", PODS)
def test_memory_is_bounded_and_threads_are_as_many_as_the_cores_of_the_request(
    server_container, environment, path
):
    resources = server_container(path)["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    workers = int(environment(path).get("MLSERVER_PARALLEL_WORKERS", Settings().parallel_workers))
    threads = int(environment(path)["OMP_NUM_THREADS"])
    assert threads * workers == int(resources["requests"]["cpu"])


@pytest.mark.parametrize("path", PODS)
def test_only_the_seldon_manifest_opens_the_repository_api(environment, path):
    opened = environment(path).get("MLSERVER_MODEL_REPOSITORY_API")
    assert opened == ("on" if path.startswith("seldon") else None)


def test_every_image_of_ours_has_this_version():
    import re

    version = Settings().server_version
    for path in DEPLOY.rglob("*.yaml"):
        for tag in re.findall(r"image: mlserver-core:(\S+)", path.read_text(encoding="utf-8")):
            assert tag in {f"{version}-slim", f"{version}-sklearn"}, path.name
