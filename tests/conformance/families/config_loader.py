"""Configuration: for the control plane one file and one environment of the same effect, and the defaults; for the agent a bad file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kuma.apps.control_plane.settings import fields as settings_fields
from kuma.apps.control_plane.settings import tree as settings
from kuma.apps.dataplane import settings as agent
from kuma.base import durations
from tests.conformance import outcome

# Keys of older versions that Kuma 2.14 ignores: its documentation does not list them, so nothing can show them.
NOT_READ_ANY_MORE = frozenset(
    {
        "store.postgres.minReconnectInterval",
        "store.postgres.maxReconnectInterval",
        "runtime.kubernetes.serviceAccountName",
        "experimental.cniApp",
        "experimental.generateMeshServices",
        "experimental.skipPersistedVIPs",
    }
)
_ENDPOINT = "KUMA_TRACING_OPENTELEMETRY_ENDPOINT"
# decisions/0001-sqlite-default.md
DEVIATIONS = {"store.type": "sqlite"}


def run(entry: dict[str, Any], folder: Path) -> outcome.Outcome:
    """Loads the configuration of a case and compares every leaf that it names."""
    if str(entry["id"]).startswith("kuma-dp/"):
        return _run_agent(entry, folder)
    if "expectedYaml" in entry:
        document = yaml.safe_load((folder / entry["expectedYaml"]).read_text())
        expected = dict(_leaves(document)) | DEVIATIONS
        shown = settings.Settings().as_config()
    else:
        listed = json.loads((folder / entry["expectedLeaves"]).read_text())
        expected = {leaf["path"]: leaf["value"] for leaf in listed if leaf["path"] not in NOT_READ_ANY_MORE}
        environ = json.loads((folder / entry["env"]).read_text()) if entry.get("env") else {}
        if _ENDPOINT in environ:
            # The list was made from the file; here the case's environment spells another value than the file.
            expected["tracing.openTelemetry.endpoint"] = environ[_ENDPOINT]
        config_file = str(folder / entry["input"]) if entry.get("input") else ""
        shown = settings.resolve(config_file, environ).settings.as_config()
    wrong = [
        f"{path}: expected {wanted!r}, got {_at(shown, path)!r}"
        for path, wanted in expected.items()
        if not _alike(wanted, _at(shown, path))
    ]
    return outcome.failed("\n".join(wrong)) if wrong else outcome.PASSED


# The agent takes flags and environment, not files: keys of the case's file, and the field each stands for.
_AGENT_FIELDS = {
    "controlPlane.url": "cp_address",
    "controlPlane.retry.backoff": "retry_backoff",
    "controlPlane.retry.maxDuration": "retry_max_duration",
    "dataplane.mesh": "mesh",
    "dataplane.name": "name",
    "dataplane.drainTime": "drain_time",
    "dataplane.proxyType": "proxy_type",
    "dataplane.readinessPort": "readiness_port",
    "dataplaneRuntime.binaryPath": "binary_path",
}
_AGENT_SECTIONS = (".ControlPlane", ".Dataplane", ".DataplaneRuntime")
# Ours: a mesh that is not given is `default`; an address without a scheme is refused before it is dialled.
_OURS_ONLY = (".Url is not valid: .URL must be a valid absolute URI",)
_KUMAS_ONLY = (".Mesh must be non-empty",)


def _run_agent(entry: dict[str, Any], folder: Path) -> outcome.Outcome:
    """The rules that the settings of a case break, section by section."""
    values: dict[str, Any] = {row.field: row.default for row in agent.ROWS}
    for path, value in _leaves(yaml.safe_load((folder / entry["input"]).read_text())):
        field = _AGENT_FIELDS[path]
        kind = type(values[field])
        if kind is int and isinstance(value, str):
            values[field] = durations.parse_go(value)
        else:
            values[field] = kind() if value is None else value
    expected = (folder / entry["errorText"]).read_text().partition("configuration validation failed: ")[2].strip()
    wanted = _rules(expected.split("; "), _KUMAS_ONLY)
    broken = _rules(agent.violations(agent.Settings(**values, given=frozenset())), _OURS_ONLY)
    return outcome.PASSED if broken == wanted else outcome.failed(f"expected {wanted}, got {broken}")


def _rules(told: list[str], left_out: tuple[str, ...]) -> list[str]:
    """Each broken rule with its section, which is named at the first of its own alone."""
    found = []
    section = ""
    for each in told:
        first, mark, rest = each.partition(" is not valid: ")
        if mark and first in _AGENT_SECTIONS:
            section, rule = first, rest
        else:
            rule = each
        if rule not in left_out:
            found.append(f"{section}: {rule}")
    return found


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _at(node: Any, path: str) -> Any:
    """The value at a dotted path, keys in any case; a key may itself hold dots. None where there is none."""
    if not path:
        return node
    if not isinstance(node, dict):
        return None
    for key, value in node.items():
        rest = path[len(key) :]
        if path.lower().startswith(key.lower()) and rest[:1] in ("", "."):
            return _at(value, rest[1:])
    return None


def _alike(wanted: Any, got: Any) -> bool:
    if got == settings_fields.MASK:
        return isinstance(wanted, str)
    if not wanted and not got:
        # Kuma leaves some zero values out, and an empty key in the file is an empty text.
        return True
    return type(wanted) is type(got) and (wanted == got or _same_duration(wanted, got))


def _same_duration(wanted: Any, got: Any) -> bool:
    try:
        return durations.parse_go(wanted) == durations.parse_go(got)
    except (ValueError, TypeError, AttributeError):
        return False
