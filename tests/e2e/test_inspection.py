"""What the control plane shows of a configuration is what Envoy has, and a shadow shows what will come."""

import json
from typing import Any

import pytest
from google.protobuf import json_format, symbol_database

from kuma.envoy import api
from tests.kit import cli, json_patches, meshes, network, sidecars

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TYPES = "type.googleapis.com/"
CLUSTER = f"{TYPES}envoy.config.cluster.v3.Cluster"
LISTENER = f"{TYPES}envoy.config.listener.v3.Listener"
ADMIN = "kuma:envoy:admin"
"""The listener that holds a certificate of its own."""


def message(type_url: str, document: Any) -> api.Message:
    own = {key: value for key, value in document.items() if key != "@type"}
    return json_format.ParseDict(own, symbol_database.Default().GetSymbol(type_url.removeprefix(TYPES))())


def shown(proxy: sidecars.Sidecar, query: str = "") -> dict[str, Any]:
    found = proxy.plane.get(f"/meshes/{proxy.mesh}/dataplanes/{proxy.name}/_config{query}")
    assert isinstance(found, dict)
    return found


def running(proxy: sidecars.Sidecar) -> dict[str, dict[str, Any]]:
    """The listeners and clusters that Envoy got from the control plane."""
    configs = json.loads(proxy.admin("/config_dump")[1])["configs"]
    listeners = [each for dump in configs for each in dump.get("dynamic_listeners", ())]
    clusters = [each for dump in configs for each in dump.get("dynamic_active_clusters", ())]
    return {
        LISTENER: {each["name"]: each["active_state"]["listener"] for each in listeners if "active_state" in each},
        CLUSTER: {each["cluster"]["name"]: each["cluster"] for each in clusters},
    }


def is_running(proxy: sidecars.Sidecar, wanted: dict[str, Any]) -> bool:
    """Whether Envoy has exactly this; AssertionError where it has something else."""
    for type_url, found in running(proxy).items():
        assert found.keys() == wanted[type_url].keys()
        for name in found.keys() - {ADMIN}:
            assert message(type_url, found[name]) == message(type_url, wanted[type_url][name]), name
    return True


def test_a_shadow_shows_what_will_come(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    web, echo = mesh.pair()
    for proxy in (web, echo):
        network.until("Envoy has what is shown", lambda proxy=proxy: is_running(proxy, shown(proxy)["xds"]))
    timeout = {
        "type": "MeshTimeout",
        "mesh": mesh.name,
        "name": "a-trial",
        "labels": {"kuma.io/effect": "shadow"},
        "spec": {"rules": [{"default": {"idleTimeout": "77s"}}]},
    }
    mesh.plane.put(timeout)
    network.until("the shadow is seen", lambda: "77s" in json.dumps(shown(echo, "?shadow=true")))
    trial, current = shown(echo, "?shadow=true&include=diff"), shown(echo)["xds"]
    assert "77s" not in json.dumps(current)
    assert json_patches.applied(current, trial["diff"]) == trial["xds"]
    server = f"http://127.0.0.1:{mesh.plane.api_port}"
    printed = cli.kumactl(
        [
            "--config-file",
            str(echo.folder / "kumactl"),
            "config",
            "control-planes",
            "add",
            "--name",
            "cp",
            "--address",
            server,
        ]
    )
    assert printed.code == 0, printed
    asked = ["inspect", "dataplane", "echo", "-m", mesh.name, "--type=config", "--shadow", "--include=diff"]
    printed = cli.kumactl(["--config-file", str(echo.folder / "kumactl"), *asked])
    assert json.loads(printed.out) == trial

    assert "77s" not in echo.admin("/config_dump")[1]
    mesh.plane.put({**timeout, "labels": {}})
    echo.until_told("77s")
    network.until("it has come as it was shown", lambda: is_running(echo, trial["xds"]))
    mesh.plane.delete(timeout)
