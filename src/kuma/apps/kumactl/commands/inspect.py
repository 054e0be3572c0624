"""`kumactl inspect`: resources together with what the control plane knows about their state.

Lists are tables here; one proxy and one policy are told as text in `inspect_matches`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from kuma.apps.kumactl import flags, grammar, kinds, output, rest, session, tables
from kuma.apps.kumactl.commands import get, inspect_matches
from kuma.apps.kumactl.subscriptions import Connections, word
from kuma.resources import kind as kind_

Tree = Mapping[str, Any]
MAP, SWITCH = flags.Form.MAP, flags.Form.SWITCH

_DATAPLANES = (
    "MESH", "NAME", "TAGS", "STATUS", "LAST CONNECTED AGO", "LAST UPDATED AGO", "TOTAL UPDATES", "TOTAL ERRORS",
    "CERT REGENERATED AGO", "CERT EXPIRATION", "CERT REGENERATIONS", "CERT BACKEND", "SUPPORTED CERT BACKENDS",
    "KUMA-DP VERSION", "ENVOY VERSION", "DEPENDENCIES VERSIONS", "NOTES",
)  # fmt: skip
_ZONES = (
    "NAME",
    "STATUS",
    "LAST CONNECTED AGO",
    "LAST UPDATED AGO",
    "TOTAL UPDATES",
    "TOTAL ERRORS",
    "ZONE-CP VERSION",
    "BACKEND",
)
_PROXIES = (
    "NAME", "STATUS", "LAST CONNECTED AGO", "LAST UPDATED AGO", "TOTAL UPDATES", "TOTAL ERRORS", "KUMA-DP VERSION", "ENVOY VERSION",
)  # fmt: skip
_COUNTED = (
    "TrafficPermission", "TrafficRoute", "CircuitBreaker", "HealthCheck", "FaultInjection", "ExternalService",
    "TrafficTrace", "TrafficLog", "ProxyTemplate", "RateLimit",
)  # fmt: skip
_MESHES = (
    "MESH", "DATAPLANES", "TRAFFIC PERMISSIONS", "TRAFFIC ROUTES", "CIRCUIT BREAKERS", "HEALTH CHECKS",
    "FAULT INJECTIONS", "EXTERNAL SERVICES", "TRAFFIC TRACES", "TRAFFIC LOGS", "PROXY TEMPLATES", "RATE LIMITS",
)  # fmt: skip


def _all_pages(plane: rest.ControlPlane, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """A whole list, page after page, as one listing."""
    items: list[Any] = []
    offset = ""
    while True:
        page = {"offset": offset} if offset else {}
        listing = plane.view("such a list", path, {**query, **page}).json()
        items += listing.get("items") or []
        total = int(listing.get("total") or len(items))
        offset = output.next_offset(listing.get("next"))
        if not offset:
            return {"total": total, "items": items, "next": None}
        progress = session.Progress("fetching", total)
        progress.step(len(items))
        progress.end()


def _show(
    call: grammar.Invocation,
    path: str,
    headings: Sequence[str],
    row: Callable[[Tree, datetime], Sequence[str]],
    query: Mapping[str, str] | None = None,
) -> None:
    plane = session.connect_checked(call)
    listing = _all_pages(plane, path, query or {})
    now = tables.now()
    output.show_list(listing, call.text("output"), headings, lambda item: row(item, now))


def _mesh_path(call: grammar.Invocation, collection: str) -> str:
    return f"/meshes/{rest.segment(session.mesh_of(call))}/{collection}"


def _dataplanes(call: grammar.Invocation) -> None:
    query: dict[str, str] = {}
    for key, value in call.pairs("tag").items():
        query["tag"] = f"{key}:{value}"
    if call.switch("gateway"):
        query["gateway"] = "true"
    if call.switch("ingress"):
        query["ingress"] = "true"
    _show(call, _mesh_path(call, "dataplanes/_overview"), _DATAPLANES, dataplane_row, query)


def dataplane_row(item: Tree, now: datetime) -> Sequence[str]:
    """One proxy in the table of `inspect dataplanes`."""
    networking = (item.get("dataplane") or {}).get("networking") or {}
    insight = item.get("dataplaneInsight") or {}
    seen = Connections(insight)
    waiting = list(not_ready(networking))
    mtls = insight.get("mTLS") or {}
    certificate = (
        tables.age(mtls.get("lastCertificateRegeneration"), now),
        tables.date(mtls.get("certificateExpirationTime")),
        str(mtls.get("certificateRegenerations") or 0),
        str(mtls.get("issuedBackend") or "-"),
        ",".join(mtls.get("supportedBackends") or []),
    )
    return (
        str(item.get("mesh", "")),
        str(item.get("name", "")),
        get.tags_text(get.dataplane_tags(networking)),
        dataplane_status(networking, seen.is_online, len(waiting)),
        *seen.ages(now),
        *seen.totals(),
        *certificate,
        seen.version("kumaDp"),
        seen.version("envoy"),
        seen.dependencies(),
        ";".join([*waiting, *seen.troubles()]),
    )


def not_ready(networking: Tree) -> Iterator[str]:
    """A note for each inbound and listener that takes no traffic."""
    for each in networking.get("inbound") or []:
        if _is_waiting(each):
            service = (each.get("tags") or {}).get("kuma.io/service", "")
            yield f"inbound[port={each.get('port', 0)},svc={service}] is not ready"
    for each in networking.get("listeners") or []:
        if _is_waiting(each):
            yield f"listener[port={each.get('port', 0)},type={each.get('type', '')}] is not ready"


def _is_waiting(each: Tree) -> bool:
    health = each.get("health")
    return each.get("state") == "NotReady" or (health is not None and not health.get("ready"))


def dataplane_status(networking: Tree, is_online: bool, waiting: int) -> str:
    """Online, Offline or `Partially degraded`, from the connection and how many inbounds are not ready."""
    if networking.get("gateway") or not is_online:
        return word(is_online)
    parts = len(networking.get("inbound") or []) + len(networking.get("listeners") or [])
    if not waiting:
        return "Online"
    return "Offline" if waiting == parts else "Partially degraded"


def _zone_row(item: Tree, now: datetime) -> Sequence[str]:
    insight = item.get("zoneInsight") or {}
    seen = Connections(insight)
    enabled = (item.get("zone") or {}).get("enabled", True)
    version, backend = seen.version("kumaCp"), ""
    if seen.last.get("config"):
        import json

        backend = str(((json.loads(seen.last["config"])).get("store") or {}).get("type") or "")
    return (
        str(item.get("name", "")),
        word(seen.is_online and enabled),
        *seen.ages(now),
        *seen.totals(),
        version,
        backend,
    )


def _proxy_row(insight_key: str, item: Tree, now: datetime) -> Sequence[str]:
    seen = Connections(item.get(insight_key) or {})
    return (
        str(item.get("name", "")),
        word(seen.is_online),
        *seen.ages(now),
        *seen.totals(),
        seen.version("kumaDp"),
        seen.version("envoy"),
    )


def _service_row(item: Tree, now: datetime) -> Sequence[str]:
    counts = item.get("dataplanes") or {}
    status = {"online": "Online", "partially_degraded": "Partially degraded"}.get(str(item.get("status")), "Offline")
    return (str(item.get("name", "")), status, f"{counts.get('online') or 0}/{counts.get('total') or 0}")


def _mesh_row(item: Tree, now: datetime) -> Sequence[str]:
    counts, policies = item.get("dataplanes") or {}, item.get("policies") or {}
    totals = [str((policies.get(name) or {}).get("total") or 0) for name in _COUNTED]
    return (str(item.get("name", "")), f"{counts.get('online') or 0}/{counts.get('total') or 0}", *totals)


def _services(call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    listing = _all_pages(plane, _mesh_path(call, "service-insights"), {})
    listing["items"] = [{**each, "type": "ServiceOverview"} for each in listing["items"]]
    now = tables.now()
    headings = ("SERVICE", "STATUS", "DATAPLANES")
    output.show_list(listing, call.text("output"), headings, lambda item: _service_row(item, now))


def _list_commands() -> list[grammar.Command]:
    zones = partial(_show, path="/zones/_overview", headings=_ZONES, row=_zone_row)
    ingresses = partial(
        _show, path="/zoneingresses/_overview", headings=_PROXIES, row=partial(_proxy_row, "zoneIngressInsight")
    )
    egresses = partial(
        _show, path="/zoneegresses/_overview", headings=_PROXIES, row=partial(_proxy_row, "zoneEgressInsight")
    )
    meshes = partial(_show, path="/mesh-insights", headings=_MESHES, row=_mesh_row)
    command = partial(grammar.Command, arguments=None)
    return [
        command("dataplanes", _dataplanes, summary="Inspect Dataplanes", flags=_DATAPLANES_FLAGS),
        command("meshes", meshes, summary="Inspect Meshes"),
        command("services", _services, summary="Inspect services", flags=[session.MESH]),
        command("zoneegresses", egresses, summary="Inspect ZoneEgresses"),
        command("zoneingresses", ingresses, summary="Inspect ZoneIngresses"),
        command("zones", zones, summary="Inspect Zones"),
    ]


def _entries() -> dict[str, grammar.Entry]:
    commands = [*_list_commands(), *inspect_matches.proxy_commands()]
    for kind in kinds.offered():
        if kind.policy is not None and kind.scope is kind_.Scope.MESH:
            commands.append(inspect_matches.policy_command(kind))
    return grammar.ready(commands)


_DATAPLANES_FLAGS = [
    flags.Flag("gateway", form=SWITCH, help="only gateways"),
    flags.Flag("ingress", form=SWITCH, help="only zone ingresses"),
    session.MESH,
    flags.Flag("tag", form=MAP, help="only proxies with this tag: key=value"),
]

COMMAND = grammar.Group(
    "inspect", _entries, description="Show resources with what is known about their state.", persistent=[session.OUTPUT]
)
