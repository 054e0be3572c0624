"""Family `hds`: a Dataplane, its node's metadata and settings, and the probes that Envoy must be given."""

import pathlib
from typing import Any

import yaml
from google.protobuf import json_format

from kuma.base import durations
from kuma.compiler import health
from kuma.plan import proxy
from kuma.resources import codec
from kuma.resources.kinds import dataplane
from tests.conformance import outcome
from tests.conformance.families import bootstrap


def run(case: dict[str, Any], folder: pathlib.Path) -> outcome.Outcome:
    """One case; the differences are its detail."""
    problems = check_case(case, folder)
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


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
