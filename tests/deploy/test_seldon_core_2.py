"""The structure of Seldon Core 2's manifests, after its resource definitions.

No package of an index carries these definitions, so the fields are listed here, from the types of
the operator's ``mlops.seldon.io/v1alpha1``. The pod inside, which is Kubernetes's own type, and the
claim are checked against their schemas in ``test_kubernetes.py``.
"""

from __future__ import annotations

import pytest

CONFIG = "seldon-core-2/serverconfig.yaml"
SERVERS = ["seldon-core-2/server.yaml", "seldon-core-2/server-of-seldons-config.yaml"]
FIELDS = {
    "ServerConfig": {"podSpec", "volumeClaimTemplates"},
    "Server": {
        "serverConfig",
        "capabilities",
        "extraCapabilities",
        "imageOverrides",
        "podSpec",
        "replicas",
        "minReplicas",
        "maxReplicas",
    },
    "Model": {
        "storageUri",
        "artifactVersion",
        "modelType",
        "schemaUri",
        "secretName",
        "requirements",
        "memory",
        "replicas",
        "minReplicas",
        "maxReplicas",
        "server",
        "preloaded",
        "dedicated",
        "logger",
        "explainer",
        "parameters",
        "llm",
        "dataflow",
    },
}
REQUIRED = {"ServerConfig": {"podSpec"}, "Server": {"serverConfig"}, "Model": {"storageUri"}}
#: What the agent needs to know; it has defaults for the rest.
AGENT = {
    "SELDON_SERVER_TYPE",
    "SELDON_SERVER_CAPABILITIES",
    "SELDON_SERVER_HTTP_PORT",
    "SELDON_SERVER_GRPC_PORT",
    "SELDON_REVERSE_PROXY_HTTP_PORT",
    "SELDON_REVERSE_PROXY_GRPC_PORT",
    "SELDON_SCHEDULER_HOST",
    "SELDON_SCHEDULER_PORT",
    "SELDON_METRICS_PORT",
    "SELDON_DRAINER_PORT",
    "POD_NAME",
    "POD_NAMESPACE",
    "MEMORY_REQUEST",
}


@pytest.fixture
def containers(read):
    pod = read(CONFIG)["spec"]["podSpec"]
    return {each["name"]: each for each in pod["containers"]}


@pytest.fixture
def agent(containers):
    return {each["name"]: each.get("value") for each in containers["agent"]["env"]}


@pytest.mark.parametrize("path", [CONFIG, *SERVERS, "seldon-core-2/model.yaml"])
def test_fields_are_those_of_the_kind(read, path):
    manifest = read(path)
    assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert manifest["apiVersion"] == "mlops.seldon.io/v1alpha1"
    assert set(manifest["spec"]) <= FIELDS[manifest["kind"]]
    assert set(manifest["spec"]) >= REQUIRED[manifest["kind"]]


def test_the_three_containers_and_the_service_account_have_seldons_names(read, containers):
    assert list(containers) == ["rclone", "agent", "mlserver"]
    assert read(CONFIG)["spec"]["podSpec"]["serviceAccountName"] == "seldon-server"
    volumes = {each["name"] for each in read(CONFIG)["spec"]["podSpec"]["volumes"]}
    claims = {each["name"] for each in read(CONFIG)["spec"]["volumeClaimTemplates"]}
    for container in containers.values():
        assert {each["name"] for each in container["volumeMounts"]} <= volumes | claims


def test_agent_has_what_it_asks_for_and_finds_the_server_and_its_models(
    agent, containers, environment
):
    server = environment(CONFIG)
    assert set(agent) >= AGENT
    assert agent["SELDON_SERVER_HTTP_PORT"] == server["MLSERVER_HTTP_PORT"]
    assert agent["SELDON_SERVER_GRPC_PORT"] == server["MLSERVER_GRPC_PORT"]
    proxied = {agent["SELDON_REVERSE_PROXY_HTTP_PORT"], agent["SELDON_REVERSE_PROXY_GRPC_PORT"]}
    ports = {str(each["containerPort"]) for each in containers["agent"]["ports"]}
    assert ports == proxied | {agent["SELDON_METRICS_PORT"]}
    assert server["MLSERVER_MODELS_DIR"] == "/mnt/agent/models"  # the agent's folder and "models"
    assert server["MLSERVER_LOAD_MODELS_AT_STARTUP"] == "false"


def test_every_container_waits_at_its_end_until_the_agent_has_moved_the_models(agent, containers):
    for container in containers.values():
        hook = container["lifecycle"]["preStop"]["httpGet"]
        assert hook == {"path": "terminate", "port": int(agent["SELDON_DRAINER_PORT"])}


def test_folder_of_the_models_is_made_before_the_server_starts(read, environment):
    (init,) = read(CONFIG)["spec"]["podSpec"]["initContainers"]
    assert init["command"][0] == "mkdir"
    assert init["command"][-1] == environment(CONFIG)["MLSERVER_MODELS_DIR"]
    assert "readOnly" not in init["volumeMounts"][0]


def test_servers_find_their_config_and_models_their_server(read, agent):
    name = read(CONFIG)["metadata"]["name"]
    assert read(SERVERS[0])["spec"]["serverConfig"] == name
    requirements = set(read("seldon-core-2/model.yaml")["spec"]["requirements"])
    assert requirements <= set(agent["SELDON_SERVER_CAPABILITIES"].split(","))
    assert requirements <= set(read(SERVERS[1])["spec"]["capabilities"])


def test_network_policy_lets_its_own_namespace_in_and_to_the_agents_ports_only(read, containers):
    policy = read("seldon-core-2/networkpolicy.yaml")["spec"]
    names = {read(path)["metadata"]["name"] for path in SERVERS}
    assert {policy["podSelector"]["matchLabels"]["seldon-server-name"]} == names
    mesh, monitoring = policy["ingress"]
    assert mesh["from"] == [{"podSelector": {}}]
    opened = {each["port"] for each in mesh["ports"]}
    assert opened == {"http", "grpc"} <= {each["name"] for each in containers["agent"]["ports"]}
    names = {each["name"] for part in containers.values() for each in part["ports"]}
    assert {each["port"] for each in monitoring["ports"]} <= names
