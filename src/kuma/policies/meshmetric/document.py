"""What the agent is told about metrics: whose, which, for whom, and the labels that all of them get.

Envoy serves it at `/meshmetric`. Source: Kuma's `MeshMetricDpConfig`, member by member in its order.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from kuma.base import durations, labels, sockets
from kuma.plan import proxy
from kuma.policies.meshmetric import model
from kuma.policy_engine import collectors
from kuma.resources.kinds import dataplane

DEFAULT_INTERVAL = durations.MINUTE

_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPED = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))


def render(
    conf: model.Conf,
    subject: proxy.ProxyFacts,
    sent: Iterable[tuple[model.OpenTelemetry, collectors.Collector]],
    *,
    unified: bool,
) -> bytes:
    """The document. `sent` are the collectors that the agent sends to through Envoy."""
    backends: list[dict[str, Any]] = []
    if any(each.prometheus is not None for each in conf.backends or ()):
        backends.append({"type": model.BackendType.PROMETHEUS, "name": None})
    backends += [_export(wanted, collector, subject) for wanted, collector in sent]
    metrics = {
        "applications": [_application(each) for each in conf.applications] if conf.applications else None,
        "backends": backends or None,
        "sidecar": _sidecar(conf.sidecar) if conf.sidecar is not None else None,
        "extraLabels": dict(sorted(extra_labels(subject, unified=unified).items())),
    }
    text = json.dumps({"observability": {"metrics": metrics}}, separators=(",", ":"), ensure_ascii=False)
    for char, escape in _ESCAPED:  # as Go writes JSON
        text = text.replace(char, escape)
    return text.encode()


def _application(wanted: model.Application) -> dict[str, Any]:
    named = {"name": wanted.name} if wanted.name is not None else {}
    return {**named, "path": wanted.path or "/metrics", "port": wanted.port, "address": wanted.address or ""}


def _export(wanted: model.OpenTelemetry, collector: collectors.Collector, subject: proxy.ProxyFacts) -> dict[str, Any]:
    interval = wanted.refresh_interval.nanoseconds if wanted.refresh_interval is not None else DEFAULT_INTERVAL
    said = {
        "endpoint": sockets.collector(subject.workdir, collector.name),
        "refreshInterval": durations.format_go(interval),
    }
    return {"type": model.BackendType.OPEN_TELEMETRY, "name": collector.name, "openTelemetry": said}


def _sidecar(wanted: model.Sidecar) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if wanted.profiles is not None:
        profiles: dict[str, Any] = {}
        if wanted.profiles.append_profiles is not None:
            profiles["appendProfiles"] = [{"name": each.name} for each in wanted.profiles.append_profiles]
        for key, selectors in (("exclude", wanted.profiles.exclude), ("include", wanted.profiles.include)):
            if selectors is not None:
                profiles[key] = [{"type": each.type, "match": each.match} for each in selectors]
        out["profiles"] = profiles
    if wanted.include_unused is not None:
        out["includeUnused"] = wanted.include_unused
    return out


def extra_labels(subject: proxy.ProxyFacts, *, unified: bool) -> Mapping[str, str]:
    """Labels of every metric of a proxy; without unified naming its tags, its name and its service, too."""
    meta = subject.resource.meta
    found = _of_tags(subject) if not unified else {}
    found |= {"mesh": meta.mesh, "kuma.proxy_role": _role(subject)}
    workload = meta.labels.get(labels.WORKLOAD, "")
    for key, value in (("zone", subject.zone), ("kuma.workload", workload)):
        if value:
            found[key] = value
    if not unified:
        found["dataplane"] = meta.name
        if not workload and subject.service != proxy.UNKNOWN:
            found["service"] = subject.service
    return found


def _of_tags(subject: proxy.ProxyFacts) -> dict[str, str]:
    """Each tag under its name and, with all its values, under the plural of that."""
    found: dict[str, str] = {}
    for key, values in sorted(subject.tag_values.items()):
        name = _NOT_IN_LABELS.sub("_", key)
        ordered = sorted(values)
        found[name] = ordered[0]
        found[f"{name}s"] = f",{','.join(ordered)},"
    return found


def _role(subject: proxy.ProxyFacts) -> str:
    networking = subject.spec.networking
    if networking is None:
        return "sidecar"
    if networking.gateway is not None:
        return "gateway"
    types = {each.type for each in networking.listeners}
    if {dataplane.ListenerType.ZONE_INGRESS, dataplane.ListenerType.ZONE_EGRESS} <= types:
        return "zone-proxy"
    if dataplane.ListenerType.ZONE_INGRESS in types:
        return "zone-ingress"
    return "zone-egress" if dataplane.ListenerType.ZONE_EGRESS in types else "sidecar"
