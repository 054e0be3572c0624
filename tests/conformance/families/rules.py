"""Family `rules`: policies in, the rules that they merge into out. No proxy is involved but for its one inbound.

Documents are read as Kuma's own tests read them: schema defaults, no labels computed.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from kuma.policy_engine.matching import index, matching, precedence
from kuma.policy_engine.merging import rules
from kuma.resources import codec, printer, targetref
from kuma.resources import resource as res
from tests.conformance import go_yaml, kinds, outcome
from tests.conformance.families import bootstrap

MATCHED = "matched-for-rules-"
PLACE = "127.0.0.1:80"
_META = ("name", "mesh")


def run(case: dict[str, Any], folder: pathlib.Path) -> outcome.Outcome:
    """One case; the differences are its detail."""
    resources = load(folder / case["input"])
    golden = yaml.safe_load((folder / case["golden"]).read_text()) or {}
    found = FUNCTIONS[case["function"]](resources)
    return compare(golden, found)


def compare(golden: Any, found: Any) -> outcome.Outcome:
    """Both sides reduced to what a neutral reader sees of metadata."""
    problems = list(bootstrap.differences(neutral(golden), neutral(found)))
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


def load(path: pathlib.Path) -> list[res.Resource[Any]]:
    """The resources of a file of documents."""
    return [decode(each) for each in yaml.safe_load_all(path.read_text()) if each]


def decode(document: dict[str, Any]) -> res.Resource[Any]:
    """One resource; Kuma's own name extensions are no part of it, and a missing mesh is the default one."""
    kind = kinds.known().find(document["type"])
    assert kind is not None, document["type"]
    own = {key: value for key, value in document.items() if key != "nameExtensions"}
    own = {"mesh": "default", **own}
    if "spec" in own:
        own["spec"] = go_yaml.fitted(kind.spec, own["spec"])
    return codec.decode(kind, own)


def neutral(value: Any) -> Any:
    """Metadata as name, mesh, labels and KRI where it is printed, in whichever of the two styles it comes."""
    if isinstance(value, list | tuple):
        return [neutral(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "creationTime" in value:
        return {key: value[key] for key in (*_META, "kri") if value.get(key)} | {"labels": value.get("labels") or {}}
    if "CreationTime" in value:
        lower = {key[0].lower() + key[1:]: each for key, each in value.items()}
        return {key: lower[key] for key in _META if lower.get(key)} | {"labels": lower.get("labels") or {}}
    return {key: neutral(each) for key, each in value.items()}


class Printer:
    """Rules as the corpus prints them; it shows the whole metadata of every author."""

    def __init__(self, resources: Iterable[res.Resource[Any]], go_style: bool = False) -> None:
        self._authors = {res.ref_to(each): each for each in resources}
        self._go_style = go_style

    def meta(self, resource: res.Resource[Any]) -> dict[str, Any]:
        """Metadata. Go's style knows no KRI."""
        meta = codec.encode_meta(resource)
        if not self._go_style or resource.kind.name == "Mesh":
            return {key: meta[key] for key in (*_META, "kri", "labels", "creationTime") if key in meta}
        return {"creationTime": "", **{key: meta[key] for key in (*_META, "labels") if key in meta}}

    def author(self, ref: res.ResourceRef) -> dict[str, Any]:
        """Metadata of the policy that an entry stands in."""
        return self.meta(self._authors[res.ResourceRef(ref.kind, ref.mesh, ref.name, -1, ref.kri)])

    def origin(self, ref: res.ResourceRef) -> dict[str, Any]:
        """Policy and number of an entry."""
        return {"Resource": self.author(ref), "RuleIndex": ref.rule}

    def subset_rules(self, found: Iterable[rules.SubsetRule]) -> list[dict[str, Any]]:
        """Rules by tags."""
        return [
            {
                "Subset": [{"Key": tag.key, "Value": tag.value, "Not": tag.negated} for tag in each.subset],
                "Conf": printer.to_builtins(conf),
                "Origin": [self.author(ref) for ref in each.merged.policies],
                "OriginByMatches": {key: self.author(ref) for key, ref in each.merged.by_matches.items()},
            }
            for each in found
            for conf in each.merged.confs
        ]

    def inbound_rules(self, found: Iterable[rules.InboundRule]) -> list[dict[str, Any]]:
        """Rules of an inbound."""
        return [
            {
                "conf": printer.to_builtins(each.conf),
                "match": None if each.match is None else printer.to_builtins(each.match),
                "origin": self.origin(each.origin),
            }
            for each in found
        ]

    def resource_rules(self, found: Iterable[rules.ResourceRule]) -> dict[str, Any]:
        """Rules by KRI."""
        return {
            str(each.target): {
                "Resource": self.meta(each.resource),
                "ResourceSectionName": each.target.section,
                "Conf": [printer.to_builtins(conf) for conf in each.merged.confs],
                "Origin": [self.origin(ref) for ref in each.merged.origins],
                "OriginByMatches": {key: self.origin(ref) for key, ref in each.merged.by_matches.items()},
            }
            for each in found
        }

    def to_rules(self, found: rules.ToRules) -> dict[str, Any]:
        """Rules of destinations."""
        return {
            "Rules": self.subset_rules(found.tag_rules.all()),
            "ResourceRules": self.resource_rules(found.resource_rules.all()),
        }


def around(resources: Iterable[res.Resource[Any]]) -> matching.Surroundings:
    """The resources that targetRefs lead over."""
    by_kind: dict[str, list[res.Resource[Any]]] = {}
    for each in resources:
        by_kind.setdefault(each.kind.name, []).append(each)
    return matching.Surroundings(
        routes=by_kind.get("MeshHTTPRoute", ()),
        gateways=by_kind.get("MeshGateway", ()),
        services=by_kind.get("MeshService", ()),
        external_services=by_kind.get("MeshExternalService", ()),
        multizone_services=by_kind.get("MeshMultiZoneService", ()),
        mesh=next(iter(by_kind.get("Mesh", ())), None),
    )


def written(resources: Iterable[res.Resource[Any]]) -> list[res.Resource[Any]]:
    """Those whose name says that a proxy matches them."""
    return [each for each in resources if each.meta.name.startswith(MATCHED)]


def build_from(resources: Sequence[res.Resource[Any]]) -> Any:
    """All policies on one inbound, in the order in which they are written."""
    counting, positions = _counted(resources, resources)
    found = counting.inbound_rules(positions)
    shown = Printer(resources)
    return {
        "Rules": {PLACE: shown.subset_rules(found.clients)},
        "InboundRules": {PLACE: shown.inbound_rules(found.rules)},
    }


def build_to(resources: Sequence[res.Resource[Any]]) -> Any:
    """All policies, in the order in which they are written; MeshHTTPRoutes are what others may be about."""
    others = [each for each in resources if each.kind.name != "MeshHTTPRoute"]
    counting, positions = _counted(others or resources, resources)
    return Printer(resources).to_rules(counting.to_rules(positions))


def build_single(resources: Sequence[res.Resource[Any]]) -> Any:
    """The `default` of all policies, in the order in which they are written."""
    counting, positions = _counted(resources, resources)
    merged = counting.single(positions)
    return {"Rules": Printer(resources).subset_rules([rules.SubsetRule((), merged)] if merged else [])}


def inbound_build(resources: Sequence[res.Resource[Any]]) -> Any:
    """`rules` of the matched policies."""
    counting, positions = _counted(written(resources), resources)
    return {"rules": Printer(resources).inbound_rules(counting.inbound_rules(positions).rules)}


def outbound_build(resources: Sequence[res.Resource[Any]]) -> Any:
    """`to` of the matched policies, for real resources."""
    counting, positions = _counted(written(resources), resources)
    return Printer(resources, go_style=True).resource_rules(counting.to_rules(positions).resource_rules.all())


def outbound_sort(resources: Sequence[res.Resource[Any]]) -> Any:
    """`to` entries of the matched policies, in order of precedence."""
    by_name = sorted(written(resources), key=lambda each: each.meta.display_name, reverse=True)
    entries = [
        (precedence.outbound_rank(each, item.target_ref), each, number, item)
        for each in by_name
        for number, item in enumerate(each.spec.to)
    ]
    shown = Printer(resources)
    return [
        {
            "Entry": printer.to_builtins(item),
            "Meta": shown.meta(policy),
            "RuleIndex": number,
            "TopLevel": printer.to_builtins(policy.spec.target_ref or targetref.MESH),
        }
        for _, policy, number, item in sorted(entries, key=lambda each: each[0])
    ]


FUNCTIONS = {
    "BuildFromRules": build_from,
    "BuildToRules": build_to,
    "BuildSingleItemRules": build_single,
    "inbound.BuildRules": inbound_build,
    "outbound.BuildRules": outbound_build,
    "outbound.Sort": outbound_sort,
}


def _counted(
    policies: Sequence[res.Resource[Any]], resources: Iterable[res.Resource[Any]]
) -> tuple[index.PolicyIndex, tuple[int, ...]]:
    """The index of some policies, and their positions in the order given."""
    counting = index.PolicyIndex(policies[0].kind, policies, around(resources))
    places = {id(each.resource): position for position, each in enumerate(counting.policies)}
    return counting, tuple(places[id(each)] for each in policies)
