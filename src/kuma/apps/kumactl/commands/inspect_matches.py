"""`kumactl inspect dataplane NAME` and `inspect POLICY NAME`: which policies meet which proxies, told as indented text.

Layout: as Kuma's `inspect` prints the answers of its inspection API, down to names that stand at the margin where a
kind has several policies. `-o json` and `-o yaml`, which Kuma passes over here, give the answer itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from kuma.apps.kumactl import flags, grammar, output, rest, session, tables
from kuma.resources import kind as kind_

Tree = Mapping[str, Any]
SWITCH = flags.Form.SWITCH
_RAW = {"config-dump": "xds", "stats": "stats", "clusters": "clusters"}
"""Types whose answer is printed as it comes, and their path below the proxy's."""

_AFFECTED = "the Dataplanes that a policy applies to"


def _dataplane(call: grammar.Invocation) -> None:
    kind = _wanted_type(call, "policies", ("policies", "config"))
    path = f"/meshes/{rest.segment(session.mesh_of(call))}/dataplanes/{rest.segment(call.args[0])}"
    plane = session.connect_checked(call)
    if kind == "policies":
        _show(call, plane.view("the policies of a Dataplane", f"{path}/policies", subject=path).json(), matched_lines)
    elif kind == "config":
        query = {"shadow": "true"} if call.switch("shadow") else {}
        include = ",".join(call.items("include"))
        click.echo(
            _text(
                plane,
                "the config of a Dataplane",
                f"{path}/_config",
                {**query, **({"include": include} if include else {})},
            )
        )
    else:
        _print_raw(plane, path, kind, call.switch("include-eds"))


def _show(call: grammar.Invocation, answer: Tree, lines: Callable[[Tree], Iterable[str]]) -> None:
    """Prints an answer: as text, or as the control plane gave it where another format is asked for."""
    if output.check_format(call.text("output")) == "table":
        for line in lines(answer):
            click.echo(line)
    else:
        output.show_tree(answer, call.text("output"))


def _zone_proxy(collection: str, call: grammar.Invocation) -> None:
    kind = _wanted_type(call, "config-dump", ())
    plane = session.connect_checked(call)
    _print_raw(plane, f"/{collection}/{rest.segment(call.args[0])}", kind, call.switch("include-eds"))


def _wanted_type(call: grammar.Invocation, default: str, more: Sequence[str]) -> str:
    """The `--type` asked for; CommandError where it is unknown or another flag does not go with it."""
    kind = call.text("type") or default
    if call.switch("config-dump"):
        kind = "config-dump"
    if kind not in (*_RAW, *more):
        raise grammar.CommandError("invalid inspection type")
    if "config" in more and kind != "config":
        for name, used in (("shadow", call.switch("shadow")), ("include", bool(call.items("include")))):
            if used:
                raise grammar.CommandError(f"flag '--{name}' can be used only when '--type=config'")
    if call.switch("include-eds") and kind != "config-dump":
        raise grammar.CommandError("flag '--include-eds' can be used only when '--type=config-dump'")
    return kind


def _print_raw(plane: rest.ControlPlane, path: str, kind: str, include_eds: bool) -> None:
    click.echo(
        _text(plane, f"the {kind} of a proxy", f"{path}/{_RAW[kind]}", {"include_eds": "true"} if include_eds else {})
    )


def _text(plane: rest.ControlPlane, what: str, path: str, query: Mapping[str, str]) -> str:
    """The answer as it came; JSON that came on one line is laid out as the REST API does."""
    text = plane.view(what, path, query).body.decode().rstrip("\n")
    if "\n" in text or not text.startswith("{"):
        return text
    import json

    return json.dumps(json.loads(text), indent=1, ensure_ascii=False)


def matched_lines(answer: Tree) -> Iterator[str]:
    """The policies of one proxy, block by block, each ended by an empty line."""
    if answer.get("kind") == "MeshGatewayDataplane":
        yield from _gateway_lines(answer)
        return
    for item in answer.get("items") or []:
        place, service = str(item.get("name") or ""), str(item.get("service") or "")
        if item.get("type") == "dataplane":
            yield "DATAPLANE:"
        elif item.get("type") == "service":
            yield f"SERVICE {place}:"
        else:
            yield f"{str(item.get('type', '')).upper()} {place}({service}):"
        for kind, policies in sorted((item.get("matchedPolicies") or {}).items()):
            yield f"  {kind}"
            names = [str(each.get("name", "")) for each in policies]
            yield "    " + "\n".join(names)
        yield ""


def _gateway_lines(answer: Tree) -> Iterator[str]:
    yield "MESHGATEWAY:"
    yield from _policy_lines(answer.get("policies") or {}, "  ")
    yield ""
    for listener in answer.get("listeners") or []:
        yield f"LISTENER ({listener.get('protocol', '')}:{listener.get('port', '')}):"
        for host in listener.get("hosts") or []:
            yield f"  {host.get('hostName', '')}:"
            for route in host.get("routes") or []:
                yield f"    ROUTE {route.get('route', '')}:"
                for destination in route.get("destinations") or []:
                    yield f"      SERVICE {_service(destination.get('tags') or {})}:"
                    yield from _policy_lines(destination.get("policies") or {}, "        ")
                    yield ""


def _policy_lines(policies: Tree, indent: str) -> Iterator[str]:
    for kind, policy in sorted(policies.items()):
        yield f"{indent}{kind}"
        yield f"{indent}  {policy.get('name', '')}"


def _service(tags: Tree) -> str:
    return str(tags.get("kuma.io/service", ""))


def _policy(kind: kind_.Kind[Any], call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    path = f"/meshes/{rest.segment(session.mesh_of(call))}/{kind.plural}/{rest.segment(call.args[0])}"
    if call.switch("new-api"):
        query = {"offset": call.text("offset")} if call.text("offset") != "0" else None
        answer = plane.view(_AFFECTED, f"{path}/_resources/dataplanes", query).json()
        _show(call, answer, _table_lines)
    else:
        _show(call, plane.view(_AFFECTED, f"{path}/dataplanes").json(), affected_lines)
    for text in _warnings(plane, path) if kind.policy is not None and kind.policy.target_ref else ():
        click.echo(f"Warning: {text}", err=True)


def _table_lines(answer: Tree) -> Iterator[str]:
    """The proxies that a policy applies to as a table, and how many there are."""
    rows = [
        (str(each.get("type", "")), str(each.get("mesh", "")), str(each.get("name", "")))
        for each in answer.get("items") or []
    ]
    yield tables.render(("Type", "Mesh", "Name"), rows).rstrip("\n")
    yield f"Total: {answer.get('total', len(rows))}"


def _warnings(plane: rest.ControlPlane, path: str) -> Iterator[str]:
    """Why a policy has no effect, where the control plane knows; Kuma's has no such view."""
    try:
        found = plane.get(f"{path}/_warnings").get("warnings") or ()
    except rest.Refused:
        return
    for each in found:
        yield f"{each.get('field', '')}: {each.get('reason', '')}"


def affected_lines(answer: Tree) -> Iterator[str]:
    """The proxies that a policy applies to, and where in each."""
    yield "Affected data plane proxies:"
    yield ""
    for item in answer.get("items") or []:
        if item.get("kind") == "MeshGatewayDataplane":
            yield f"  {(item.get('gateway') or {}).get('name', '')}:"
            yield from _listener_lines(item.get("listeners") or [])
            yield ""
            continue
        name = (item.get("dataplane") or {}).get("name", "")
        places = [each for each in item.get("attachments") or [] if each.get("type") != "dataplane"]
        if not places:
            yield f"  {name}"
            continue
        yield f"  {name}:"
        for each in places:
            service = f"({each.get('service', '')})" if each.get("type") != "service" else ""
            yield f"    {each.get('type', '')} {each.get('name', '')}{service}"
        yield ""


def _listener_lines(listeners: Sequence[Tree]) -> Iterator[str]:
    for listener in listeners:
        yield f"    listener ({listener.get('protocol', '')}:{listener.get('port', '')}):"
        for host in listener.get("hosts") or []:
            yield f"      {host.get('hostName', '')}:"
            for route in host.get("routes") or []:
                yield f"        {route.get('route', '')}:"
                for tags in route.get("destinations") or []:
                    yield f"          service {_service(tags)}"


def _gateway(call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    path = f"/meshes/default/meshgateways/{rest.segment(call.args[0])}/dataplanes"
    _show(call, plane.view("the Dataplanes of a MeshGateway", path).json(), _name_lines)


def _name_lines(answer: Tree) -> Iterator[str]:
    for item in answer.get("items") or []:
        yield str((item.get("dataplane") or {}).get("name", ""))


def policy_command(kind: kind_.Kind[Any]) -> grammar.Command:
    """`kumactl inspect <policy> NAME`."""
    return grammar.Command(
        kind.argument,
        partial(_policy, kind),
        summary=f"Inspect a {kind.name}",
        flags=[
            session.MESH,
            flags.Flag("new-api", form=SWITCH, help="ask the newer API: a table of the proxies alone"),
            flags.Flag("offset", default="0", help="where the page starts; only with --new-api"),
        ],
        arguments=1,
        operands="NAME",
    )


def proxy_commands() -> list[grammar.Command]:
    """The commands that look at one proxy."""
    command = partial(grammar.Command, arguments=1, operands="NAME")
    return [
        command("dataplane", _dataplane, summary="Inspect a Dataplane", flags=_dataplane_flags()),
        command("meshgateway", _gateway, summary="Inspect a MeshGateway"),
        command(
            "zoneegress", partial(_zone_proxy, "zoneegresses"), summary="Inspect a ZoneEgress", flags=_proxy_flags()
        ),
        command(
            "zoneingress", partial(_zone_proxy, "zoneingresses"), summary="Inspect a ZoneIngress", flags=_proxy_flags()
        ),
    ]


def _proxy_flags() -> list[flags.Flag]:
    hint = "use --type=config-dump instead"
    return [
        flags.Flag("config-dump", form=SWITCH, help="print Envoy's configuration", hidden=True, deprecated_hint=hint),
        flags.Flag("include-eds", form=SWITCH, help="with endpoints; only with --type=config-dump"),
        flags.Flag(
            "type", default="config-dump", help="what to print: one of config-dump|stats|clusters", offers=tuple(_RAW)
        ),
    ]


def _dataplane_flags() -> list[flags.Flag]:
    shared = [each for each in _proxy_flags() if each.long != "type"]
    kinds = "policies|config-dump|stats|clusters|config"
    return [
        *shared,
        flags.Flag("include", form=flags.Form.LIST, help="parts to add: diff; only with --type=config"),
        session.MESH,
        flags.Flag("shadow", form=SWITCH, help="as if shadow policies were in force; only with --type=config"),
        flags.Flag("type", default="policies", help=f"what to print: one of {kinds}", offers=kinds.split("|")),
    ]
