"""Family `proxy_modifications`: clusters and listeners in, changes of a MeshProxyPatch or ProxyTemplate, the rest out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kuma.discovery import resources as xds
from kuma.envoy import written
from kuma.legacy_policies.proxytemplate import model as proxytemplate
from kuma.legacy_policies.proxytemplate import translate as of_proxytemplate
from kuma.policies.meshproxypatch import model as meshproxypatch
from kuma.policies.meshproxypatch import translate as of_meshproxypatch
from kuma.policy_engine import modifications
from tests.conformance import outcome
from tests.conformance.families import bootstrap

_TYPES = {"Cluster": xds.CLUSTER, "Listener": xds.LISTENER}


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case: every resource after all changes, and what they add."""
    found = yaml.safe_load((folder / case["file"]).read_text())
    expected = {
        (each["resource"]["@type"], each["name"]): written.as_document(written.read_any(each["resource"], whole=False))
        for each in (yaml.safe_load(found["expected"]) or {}).get("resources", [])
    }
    return _compare(expected, dict(_results(found)))


def _compare(expected: dict[tuple[str, str], Any], found: dict[tuple[str, str], Any]) -> outcome.Outcome:
    sides = [{f"{kind} {name}": value for (kind, name), value in side.items()} for side in (expected, found)]
    problems = list(bootstrap.differences(*sides))
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


def _results(case: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    changes = _changes(case)
    for each in case["resources"]:
        document = yaml.safe_load(each["yaml"])
        kind = _TYPES[case["resourceType"][0]]
        message = written.read(kind.removeprefix(xds.TYPE_PREFIX), document, whole=False)
        made = modifications.modified(changes, kind, message, each.get("origin", case["defaultOrigin"]))
        if made.message is not None:
            yield (kind, message.name), written.as_document(made.message)
    for kind, made in modifications.added(changes, "added"):
        if made.message is not None:
            yield (kind, made.message.name), written.as_document(made.message)


def _changes(case: dict[str, Any]) -> tuple[modifications.Modification, ...]:
    documents = [yaml.safe_load(each) for each in case["modifications"]]
    if case["policy"] == "ProxyTemplate":
        return of_proxytemplate.changes(msgspec.convert({"modifications": documents}, proxytemplate.Conf))
    return of_meshproxypatch.changes(msgspec.convert({"appendModifications": documents}, meshproxypatch.Conf))
