"""Family `hds`: a Dataplane, its node's metadata and settings, and the probes that Envoy must be given."""

import json
import pathlib
from typing import Any

import yaml
from google.protobuf import json_format
from tests.conformance.families import bootstrap

from kuma.base import durations
from kuma.compiler import health
from kuma.plan import proxy
from kuma.resources import codec
from kuma.resources.kinds import dataplane

FAMILY = "hds"


def cases(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The list of cases in the folder of the family."""
    index = json.loads((folder / "index.json").read_text())
    found: list[dict[str, Any]] = index if isinstance(index, list) else index["cases"]
    return found


def check_case(case: dict[str, Any], folder: pathlib.Path) -> list[str]:
    """What differs from what the case expects; empty where nothing does."""
    mesh, _, name = case["nodeId"].partition(".")
    document = {"type": "Dataplane", "mesh": mesh, "name": name, **yaml.safe_load(case["dataplane"])}
    metadata = {"dataplane.admin.port": str(case["envoyAdminPort"]), **case["nodeMetadata"]}
    subject = proxy.facts_of(codec.decode(dataplane.KIND, document), metadata)
    found = json_format.MessageToDict(health.health_checks(subject, _config(case["hdsConfig"])))
    expected = yaml.safe_load((folder / case["golden"]).read_text())
    return list(bootstrap.differences(expected, found))


def _config(given: dict[str, Any]) -> health.HealthConfig:
    checks = given["checkDefaults"]
    return health.HealthConfig(
        report_interval=_seconds(given["interval"]),
        timeout=_seconds(checks["timeout"]),
        interval=_seconds(checks["interval"]),
        no_traffic_interval=_seconds(checks["noTrafficInterval"]),
        healthy_threshold=checks["healthyThreshold"],
        unhealthy_threshold=checks["unhealthyThreshold"],
    )


def _seconds(text: str) -> float:
    return durations.parse_go(text) / durations.SECOND
