"""Family `xds_generator`: single parts of what a proxy gets, from the resources and the metadata they depend on.

Generators are run on their own, before any policy: the circuit breakers that every cluster of ours reports are left out.
Zone egresses are compiled whole. Whoever made their cases knew no internal networks, and gave every ExternalService the
first TrafficPermission of all meshes: here, each mesh gets that one.
"""

import pathlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import yaml
from google.protobuf import json_format, symbol_database

from kuma.compiler import admin, compile, direct_access, render, zone_egress
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.legacy_policies import discovery as legacy_discovery
from kuma.legacy_policies.trafficpermission import model as trafficpermission
from kuma.plan import nodes, proxy
from kuma.policies import discovery
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import mesh, zoneegress
from tests.conformance import kinds, outcome
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
    """One case; the differences are its detail."""
    generators = {"admin": _admin, "direct-access": _direct_access}
    if case["generator"] == "egress":
        found = _egress(case, folder)
    elif case["generator"] in generators:
        found = _resources(generators[case["generator"]](case, folder))
    else:
        return outcome.unsupported(f"generator {case['generator']}")
    golden = case["files"].get("golden")
    expected = yaml.safe_load((folder / golden).read_text()) or {} if golden else {}
    problems = list(bootstrap.differences(_by_name(expected.get("resources", [])), _by_name(found)))
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


def _egress(case: dict[str, Any], folder: pathlib.Path) -> list[dict[str, Any]]:
    documents = list(yaml.safe_load_all((folder / case["files"]["fileWithResourcesName"]).read_text()))
    resources = sorted(
        (codec.decode(kinds.known().find(each["type"]), each) for each in documents),
        key=lambda each: each.kind is not mesh.KIND,
    )
    meshes = [each.meta.name for each in resources if each.kind is mesh.KIND]
    found, others = [], []
    for each in resources:
        (found if each.kind is trafficpermission.KIND else others).append(each)
    for name in meshes if found else ():
        others.append(replace(found[0], meta=replace(found[0].meta, mesh=name)))
    (resource,) = (each for each in resources if each.kind is zoneegress.KIND)
    features = [proxy.UNIFIED_NAMING] if case["options"].get("unifiedNaming") else []
    subject = proxy.zone_facts_of(resource, {"features": features, "ipv6Enabled": False})
    issued = {name: compile.Identity(b"CERT", b"KEY", b"CA") for name in meshes}
    policies = [*discovery.policies(), *legacy_discovery.policies()]
    own = zone_egress.ZoneEgressCompiler(policies).compile(worlds.world(others), subject, issued, None)
    return [
        {"name": name, "resource": {"@type": kind, **_with_loopback(kind, made)}}
        for kind, several in own.sets.items()
        for name, made in several.items()
    ]


def _with_loopback(kind: str, made: xds.Rendered) -> dict[str, Any]:
    """A resource whose connection managers take the loopback alone for an internal network."""
    message = symbol_database.Default().GetSymbol(kind.removeprefix(xds.TYPE_PREFIX))
    tree: dict[str, Any] = json_format.MessageToDict(message.FromString(made.value))
    for chain in tree.get("filterChains", []):
        for each in chain["filters"]:
            ranges = each["typedConfig"].get("internalAddressConfig", {})
            if ranges:
                ranges["cidrRanges"] = [one for one in ranges["cidrRanges"] if one["addressPrefix"] == "127.0.0.1"]
    return tree


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
