"""OpenTelemetry collectors: which one a backend of a policy means, how Envoy reaches it, what the agent is told of it.

An agent that can hand telemetry on takes what is meant for a MeshOpenTelemetryBackend on a Unix socket; `/otel`, a
document of its own, says where it goes from there. Source: Kuma's documentation, "MeshOpenTelemetryBackend"; the
document is Kuma's `OtelDpConfig`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kuma.base import sockets
from kuma.envoy import clusters, http
from kuma.plan import nodes, proxy
from kuma.policy_engine.writing import otel
from kuma.resources import resource as res
from kuma.resources.kinds import meshopentelemetrybackend as model

DEFAULT_PORT = 4317
LARGEST_PORT = 65_535
HTTPS_PORT = 443
LOCAL = "127.0.0.1"
"""The collector's machine where neither the backend nor the agent says one."""

DOCUMENT = "otel"

Labels = tuple[tuple[str, str], ...]

_ENDPOINT = re.compile(r"(?:\[(?P<ipv6>[^]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]*))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a backend of a policy says: labels of a MeshOpenTelemetryBackend or, deprecated, `host:port`."""

    labels: Labels = ()
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Collector:
    """One collector. `address` is empty where it is the agent's own machine; `http`: OTLP over HTTP, else over gRPC.

    `env` is who decides, it or the agent's environment: mode, precedence, whether single signals may differ.
    `author` is the resource that describes it, None for one written in the policy.
    """

    name: str
    address: str
    port: int = DEFAULT_PORT
    http: bool = False
    path: str = ""
    labels: Labels = ()
    env: tuple[str, str, bool] = ("Optional", "EnvFirst", True)
    author: res.ResourceRef | None = None

    @property
    def https(self) -> bool:
        """Whether it is reached with TLS: the port alone tells."""
        return self.http and self.port == HTTPS_PORT


def known(resources: Iterable[res.Resource[Any]]) -> tuple[Collector, ...]:
    """The collectors of a mesh, the oldest first: of several that fit the same labels that one is meant."""
    ordered = sorted(resources, key=lambda each: (each.meta.creation_time, each.meta.name))
    return tuple(_described(each) for each in ordered)


def _described(resource: res.Resource[Any]) -> Collector:
    spec: model.MeshOpenTelemetryBackend = resource.spec
    where, env = spec.endpoint or model.Endpoint(), spec.env or model.Env()
    return Collector(
        resource.meta.display_name,
        where.address or "",
        where.port or DEFAULT_PORT,
        spec.protocol == "http",
        where.path or "",
        tuple(sorted(resource.meta.labels.items())),
        (env.mode or "Optional", env.precedence or "EnvFirst", env.allow_signal_overrides is not False),
        res.ref_to(resource),
    )


def reference(backend: otel.Backend) -> Reference:
    """What a backend says, as a value to compare by."""
    if backend.backend_ref is not None:
        return Reference(labels=tuple(sorted((backend.backend_ref.labels or {}).items())))
    return Reference(endpoint=backend.endpoint)


def resolve(wanted: Reference, among: Iterable[Collector]) -> Collector | None:
    """The collector that is meant; None where there is none, then nothing is sent."""
    if wanted.endpoint:
        return _inline(wanted.endpoint)
    return next((each for each in among if wanted.labels and set(wanted.labels) <= set(each.labels)), None)


def _inline(endpoint: str) -> Collector:
    """A collector by `host:port`; a port that cannot be is the default one."""
    host, port = endpoint, ""
    matched = _ENDPOINT.fullmatch(endpoint)
    if matched is not None:
        host, port = matched["ipv6"] or matched["host"], matched["port"] or ""
    number = int(port) if port and int(port) <= LARGEST_PORT else 0
    return Collector(endpoint.replace("/", "").replace(":", "-"), host, number or DEFAULT_PORT)


@dataclass(frozen=True, slots=True)
class Way:
    """How a proxy reaches a collector: `pipe`, the agent's socket, else host and port."""

    collector: Collector
    host: str = ""
    port: int = 0
    pipe: str = ""

    @property
    def http2(self) -> bool:
        """Whether Envoy speaks HTTP/2 to it: to the agent always, which takes gRPC."""
        return bool(self.pipe) or not self.collector.http


@dataclass(frozen=True, slots=True)
class Reach:
    """What of a proxy decides about its ways to collectors. `has_pipe`: its agent hands telemetry on."""

    workdir: str
    host_address: str
    has_pipe: bool

    def way(self, collector: Collector) -> Way:
        """The way to a collector."""
        if self.has_pipe and collector.author is not None:
            return Way(collector, pipe=sockets.collector(self.workdir, collector.name))
        return Way(collector, collector.address or self.host_address or LOCAL, collector.port)


def reach_of(subject: proxy.ProxyFacts) -> Reach:
    """How a proxy reaches collectors."""
    return Reach(subject.workdir, subject.host_address, subject.has(proxy.TELEMETRY_PIPE))


def cluster(
    name: str, way: Way, subject: proxy.ProxyFacts, origin: str, authors: Iterable[res.ResourceRef]
) -> nodes.ClusterNode:
    """The cluster of a collector. One that is reached with TLS is verified as the machine trusts."""
    if way.pipe:
        message = clusters.piped(name, way.pipe)
    else:
        message = clusters.outside(name, way.host, way.port, ipv6=":" in subject.address)
        if way.collector.https:
            clusters.secure_outside(message, way.host, subject.system_roots)
    options = http.upstream_options(http2=True) if way.http2 else None
    made = nodes.ClusterNode(name, message, http=options, origin=origin)
    nodes.add_authors(made, [*([way.collector.author] if way.collector.author is not None else []), *authors])
    return made


def tell_agent(plan: nodes.ProxyPlan, collector: Collector, signal: str, interval: str = "") -> None:
    """Writes into the agent's document that a signal (`traces`, `logs`, `metrics`) goes to a collector through it.

    `interval` is a Go duration, for metrics. Nothing is written where the agent hands nothing on.
    """
    subject = plan.proxy
    if collector.author is None or not subject.has(proxy.TELEMETRY_PIPE):
        return
    held = json.loads(plan.documents.pop(DOCUMENT, b'{"backends":[]}'))
    backends = {each["name"]: each for each in held["backends"]}
    entry = backends.setdefault(collector.name, _entry(collector, subject.workdir))
    entry[signal] = _signal(collector, subject, signal, interval)
    using = [each for each in backends.values() if signal in each]
    if len(using) > 1:
        for each in using:
            _add_ambiguity(each, signal)
    ordered = [_in_order(backends[name]) for name in sorted(backends)]
    plan.documents[DOCUMENT] = json.dumps({"backends": ordered}, separators=(",", ":"), ensure_ascii=False).encode()


def _entry(collector: Collector, workdir: str) -> dict[str, Any]:
    host = f"[{collector.address}]" if ":" in collector.address else collector.address
    mode, precedence, may_override = collector.env
    env: dict[str, Any] = {"mode": mode, "precedence": precedence}
    if may_override:
        env["allowSignalOverrides"] = True
    entry: dict[str, Any] = {
        "name": collector.name,
        "socketPath": sockets.collector(workdir, collector.name),
        "endpoint": f"{host}:{collector.port}",
        "useHTTP": collector.http,
    }
    if collector.https:
        entry["useHTTPS"] = True
    if collector.path:
        entry["path"] = collector.path
    return entry | {"envPolicy": env}


_ORDER = ("name", "socketPath", "endpoint", "useHTTP", "useHTTPS", "path", "envPolicy", "traces", "logs", "metrics")


def _in_order(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in _ORDER if key in entry}


def _signal(collector: Collector, subject: proxy.ProxyFacts, signal: str, interval: str) -> dict[str, Any]:
    """What the agent may do with its environment for one signal; members without a value are left out."""
    mode, _, may_override = collector.env
    found = subject.telemetry
    has_input = signal in found.present
    overrides = dict(found.overrides).get(signal, ())
    missing = _missing(found.problems, signal) if mode == "Required" else []
    blocked = []
    if mode == "Disabled" and has_input:
        blocked.append("EnvDisabledByPolicy")
    if mode == "Required" and (not has_input or missing):
        blocked.append("RequiredEnvMissing")
    if overrides and not may_override:
        blocked.append("SignalOverridesDisallowed")
    said = {
        "enabled": True,
        "envInputPresent": has_input,
        "overrideKinds": list(overrides),
        "missingFields": missing,
        "blockedReasons": blocked,
        "refreshInterval": interval,
    }
    return {key: value for key, value in said.items() if value}


def _missing(problems: Iterable[str], signal: str) -> list[str]:
    """The fields that the agent objected to, for a signal or for all."""
    out: dict[str, None] = {}
    for scope, _, field in (each.partition(".") for each in problems):
        if scope in ("shared", signal) and field:
            fields = ("client_certificate", "client_key") if field == "mtls" else (field.strip().replace("-", "_"),)
            out.update(dict.fromkeys(fields))
    return list(out)


def _add_ambiguity(entry: dict[str, Any], signal: str) -> None:
    """The environment names one collector: with several of a signal it cannot tell which."""
    plan = entry[signal]
    if not plan.get("envInputPresent") or entry["envPolicy"]["mode"] == "Disabled":
        return
    reasons = plan.setdefault("blockedReasons", [])
    if "MultipleBackendsForSignal" not in reasons:
        reasons.append("MultipleBackendsForSignal")
