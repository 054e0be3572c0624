"""Rules of inbounds about some clients, as routes of their own before those for everybody.

A filter notes who the client is once its TLS handshake is over; each route has a copy before itself for every such
rule, which only requests of those clients take. Source: Kuma's documentation, "Introduction to policies: rules";
Envoy's API, "Set filter state" and the `filter_state` of route matches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policy_engine import clients
from kuma.policy_engine.merging import merge, rules
from kuma.resources import targetref

_FILTER = "envoy.filters.network.set_filter_state"
_VALUE_FACTORY = "envoy.string"
_CLIENT, _SERVER_NAME = "spiffe_id", "sni"
_SOURCES = {_CLIENT: "%DOWNSTREAM_PEER_URI_SAN%", _SERVER_NAME: "%REQUESTED_SERVER_NAME%"}


@dataclass(frozen=True, slots=True)
class ClientConf:
    """What holds for the requests that `match` is about, less specific rules and those for everybody included."""

    match: targetref.Match
    conf: Any


def client_confs(found: rules.InboundRules, says: Callable[[Any], bool]) -> tuple[ClientConf, ...]:
    """One conf for each match that names clients, the first that fits a request counts.

    `says`: whether a conf has anything to say of routes; rules of which it does not hold make none.
    """
    spoken = [(each.match, each.conf) for each in found.rules if each.match is not None and says(each.conf)]
    by_rank = sorted(((match, conf) for match, conf in spoken if match.spiffe_id is not None), key=_rank_of)
    base = [found.base.conf] if found.base is not None and says(found.base.conf) else []
    out = []
    for match in dict.fromkeys(match for match, _ in by_rank):
        wider = [conf for other, conf in sorted(by_rank, key=_rank_of, reverse=True) if _includes(other, match)]
        out.append(ClientConf(match, merge.merge_confs([*base, *wider])[0]))
    return tuple(out)


def split(
    node: nodes.InboundNode,
    mesh: str,
    policy: str,
    confs: Sequence[ClientConf],
    edit: Callable[[api.Message, Any], None],
) -> None:
    """Puts copies of each route before it, `edit` makes them follow a conf.

    `policy` names what is noted of a connection (`mesh_timeout`): a policy does not see what another has noted.
    Whatever a route says already, its copies say as well, so routes for everybody are edited first.
    """
    if not confs:
        return
    noted = [_CLIENT, *([_SERVER_NAME] if any(each.match.sni is not None for each in confs) else ())]
    for chain in node.listener.chains:
        _note(chain, [(_key(policy, each), _SOURCES[each]) for each in noted])
        if chain.http is not None:
            for host in chain.http.route_config.virtual_hosts:
                routes = [each for route in host.routes for each in (*_copies(route, mesh, policy, confs, edit), route)]
                del host.routes[:]
                host.routes.extend(routes)


def _rank_of(rule: tuple[targetref.Match, Any]) -> tuple[bool, bool, int]:
    """The place of a match: one client before many, a server name before none, longer prefixes first."""
    match = rule[0]
    kind, value = _client(match)
    is_prefix = kind == "Prefix"
    return is_prefix, match.sni is None, -len(value) if is_prefix else 0


def _client(match: targetref.Match) -> tuple[str, str]:
    return ("", "") if match.spiffe_id is None else (match.spiffe_id.type, match.spiffe_id.value)


def _includes(wider: targetref.Match, match: targetref.Match) -> bool:
    """Whether everything that fits `match` fits `wider`."""
    (wider_kind, wider_value), (kind, value) = _client(wider), _client(match)
    if wider.sni is not None and wider.sni != match.sni:
        return False
    return value.startswith(wider_value) if wider_kind == "Prefix" else (wider_kind, wider_value) == (kind, value)


def _key(policy: str, noted: str) -> str:
    return f"kuma.{policy}.match.{noted}"


def _note(chain: nodes.ChainNode, values: Sequence[tuple[str, str]]) -> None:
    """Adds values to what the chain notes after its handshake, in one filter for all policies."""
    node = next((each for each in chain.filters if each.name == _FILTER), None)
    if node is None:
        node = nodes.FilterNode(nodes.Stage.FACTS, _FILTER, api.SetFilterState())
        chain.filters.append(node)
    for key, source in values:
        value = node.message.on_downstream_tls_handshake.add()
        value.object_key, value.factory_key = key, _VALUE_FACTORY
        value.format_string.text_format_source.inline_string = source
        value.read_only = value.skip_if_empty = True


def _copies(
    route: api.Message,
    mesh: str,
    policy: str,
    confs: Sequence[ClientConf],
    edit: Callable[[api.Message, Any], None],
) -> Iterator[api.Message]:
    for each in confs if route.HasField("route") else ():
        copy = api.Route()
        copy.CopyFrom(route)
        if each.match.spiffe_id is not None:
            client = copy.match.filter_state.add(key=_key(policy, _CLIENT))
            client.string_match.CopyFrom(clients.string_matcher(each.match.spiffe_id, mesh))
        if each.match.sni is not None:
            name = copy.match.filter_state.add(key=_key(policy, _SERVER_NAME))
            name.string_match.exact = each.match.sni.value
        edit(copy, each.conf)
        yield copy
