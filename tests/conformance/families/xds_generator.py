"""Family `xds_generator`: single parts of what a proxy gets, from the resources and the metadata they depend on.

Generators are run on their own, before any policy: the circuit breakers that every cluster of ours reports are left out.
"""

import pathlib
from collections.abc import Iterable
from typing import Any

import yaml
from google.protobuf import json_format

from kuma.compiler import admin, direct_access, render
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from tests.conformance import outcome
from tests.conformance.families import bootstrap
from tests.kit import worlds

CERTIFICATE = admin.AdminCertificate(certificate=b"certPEM", key=b"keyPEM", ca=b"caPEM")
_ADMIN = {
    "adminAddress": "dataplane.admin.address",
    "adminSocketPath": "dataplane.admin.socketPath",
    "readinessPort": "dataplane.readinessReporter.port",
}
Made = tuple[Iterable[nodes.ListenerNode], Iterable[nodes.ClusterNode]]


def run(case: dict[str, Any], folder: pathlib.Path) -> outcome.Outcome:
    """One case; the differences are its detail. Zone egresses are not generated apart from their control plane."""
    generators = {"admin": _admin, "direct-access": _direct_access}
    if case["generator"] not in generators:
        return outcome.unsupported(f"generator {case['generator']}")
    made = generators[case["generator"]](case, folder)
    golden = case["files"].get("golden")
    expected = yaml.safe_load((folder / golden).read_text()) or {} if golden else {}
    problems = list(bootstrap.differences(_by_name(expected.get("resources", [])), _by_name(_resources(made))))
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


def _admin(case: dict[str, Any], folder: pathlib.Path) -> Made:
    options = case["options"]
    features = [name for name, has in options.get("features", {}).items() if has]
    metadata = {name: str(options.get(key, "")) for key, name in _ADMIN.items()}
    (dataplane,) = _read(folder / case["files"]["dataplaneFile"])
    subject = proxy.facts_of(dataplane, {"dataplane.admin.port": "9901", "features": features, **metadata})
    return admin.admin_nodes(subject, CERTIFICATE)


def _direct_access(case: dict[str, Any], folder: pathlib.Path) -> Made:
    files = {key: _read(folder / path) for key, path in case["files"].items() if key != "golden"}
    (dataplane,) = files["dataplaneFile"]
    (mesh,) = files["meshFile"]
    others = [each for each in files["dataplanesFile"] if each.meta.name != dataplane.meta.name]
    picture = worlds.world([mesh, dataplane, *others]).meshes[mesh.meta.name]
    return direct_access.direct_nodes(picture, proxy.facts_of(dataplane, {}))


def _read(path: pathlib.Path) -> list[res.Resource[Any]]:
    """The resources of a file; lists of them stand under `items`."""
    found = []
    for document in yaml.safe_load_all(path.read_text()):
        for each in (document or {}).get("items", [document] if document else []):
            found.append(worlds.resource(each))
    return found


def _resources(made: Made) -> list[dict[str, Any]]:
    listeners, clusters = made
    messages: list[api.Message] = []
    for cluster in clusters:
        message = render.cluster(cluster)
        message.ClearField("circuit_breakers")
        messages.append(message)
    messages += [render.listener(each) for each in listeners]
    return [
        {
            "name": each.name,
            "resource": {"@type": f"{xds.TYPE_PREFIX}{each.DESCRIPTOR.full_name}", **json_format.MessageToDict(each)},
        }
        for each in messages
    ]


def _by_name(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{each['resource']['@type']} {each['name']}": each["resource"] for each in resources}
