"""Family `matchers`: a proxy and policies in; which policies are about it, and what they say of its places, out."""

import pathlib
from typing import Any

import yaml

from kuma.plan import proxy
from kuma.policy_engine.matching import matching
from kuma.policy_engine.merging import rules as engine
from kuma.resources import codec
from tests.conformance import kinds, outcome
from tests.conformance.families import rules


def run(case: dict[str, Any], folder: pathlib.Path) -> outcome.Outcome:
    """One case; the differences are its detail."""
    files = {name: folder / path for name, path in case["files"].items()}
    resources = rules.load(files["policies"])
    if "mes" in files:
        resources += rules.load(files["mes"])
    kind = kinds.known().find(case["policyType"])
    assert kind is not None
    policies = [each for each in resources if each.kind is kind]
    shown = rules.Printer(resources)
    if case["function"] == "EgressMatchedPolicies":
        [service] = rules.load(files["es"])
        found = matching.match_external_service(kind, policies, service.spec.tags)
        printed = {"Rules": {":0": shown.subset_rules(found.clients)}, "InboundRules": None}
        if kind.policy is not None and kind.policy.has_from:
            printed["InboundRules"] = {":0": shown.inbound_rules(found.rules)}
    else:
        [subject] = rules.load(files["dataplane"])
        found_rules = matching.match(kind, policies, proxy.facts_of(subject, {}), rules.around(resources))
        printed = PRINTERS[case["output"]](found_rules, shown)
    return rules.compare(yaml.safe_load(files["golden"].read_text()), printed)


def _policies(found: engine.ProxyRules, shown: rules.Printer) -> Any:
    return {"items": [codec.encode(each) for each in found.policies], "next": None, "total": 0}


def _inbounds(found: engine.ProxyRules, shown: rules.Printer) -> tuple[Any, Any]:
    """Rules of inbounds, those of a gateway's listeners as well; nothing at all for kinds that say nothing of them."""
    places = {**found.inbounds, **found.gateway.inbounds}
    kind = kinds.known().find(found.kind)
    assert kind is not None
    assert kind.policy is not None
    if places and not kind.policy.has_from:
        return None, None
    clients = {f"{address}:{port}": shown.subset_rules(each.clients) for (address, port), each in places.items()}
    inbound = {f"{address}:{port}": shown.inbound_rules(each.rules) for (address, port), each in places.items()}
    return clients, inbound


def _from(found: engine.ProxyRules, shown: rules.Printer) -> Any:
    clients, inbound = _inbounds(found, shown)
    return {"Rules": clients, "InboundRules": inbound}


def _gateway(found: engine.ProxyRules, shown: rules.Printer) -> Any:
    clients, inbound = _inbounds(found, shown)
    by_listener, by_hostname = found.gateway.by_listener, found.gateway.by_hostname
    return {
        "FromRules": clients,
        "InboundRules": inbound,
        "ToRules": {
            "ByListener": {f"{host}:{port}": shown.to_rules(each) for (host, port), each in by_listener.items()},
            "ByListenerAndHostname": {
                f"{host}:{port}:{name}": shown.to_rules(each) for (host, port, name), each in by_hostname.items()
            },
        },
    }


PRINTERS = {
    "DataplanePolicies": _policies,
    "ToRules": lambda found, shown: shown.to_rules(found.to),
    "FromRules": _from,
    "GatewayRules": _gateway,
}
