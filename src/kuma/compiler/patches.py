"""Which changes to Envoy's own configuration find nothing to change, at some proxies.

The proxies are compiled as for themselves, but without the policies that have the last word, and a witness stands in
their place: it keeps what they would be asked to change. What other patches of the mesh add is there as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.compiler import admin, compile, shapes
from kuma.envoy import api
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policy_engine import modifications, policy
from kuma.policy_engine.matching import matcher, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from kuma.resources.kinds import mesh

AnyResource = res.Resource[Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """A cluster or listener as patches meet it: its type URL, the message and its origin."""

    kind: str
    message: api.Message
    origin: str


class Witness(policy.Policy):
    """Changes nothing and remembers what could be changed."""

    kind = mesh.KIND
    order = 1 << 30

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Finished] = {}

    def match(
        self,
        memory: matcher.Matcher,
        policies: tuple[AnyResource, ...],
        subject: proxy.ProxyFacts,
        around: surroundings.Surroundings,
        with_shadow: bool = False,
    ) -> rules.ProxyRules:
        """A word on every proxy, whatever policies there are."""
        return rules.ProxyRules(self.kind.name, (), rules.NO_DESTINATIONS, single=rules.Merged(None, ()))

    def patch(self, conf: policy.Conf, kind: str, message: api.Message, origin: str) -> modifications.Modified:
        """Takes note of one resource."""
        self.seen[kind, message.name] = Finished(kind, message, origin)
        return modifications.Modified(message)


class Trial:
    """Shows what patches would meet at proxies of one picture; each is compiled when it is first asked for.

    `shaping` are the policies of the control plane; `issued` and the certificate stand in for those of each proxy.
    """

    def __init__(
        self,
        shaping: Iterable[policy.Policy],
        picture: view.MeshView,
        issued: compile.Issued,
        admin_certificate: admin.AdminCertificate,
    ) -> None:
        self.picture = picture
        self._credentials = issued, admin_certificate
        self._witness = Witness()
        others = (each for each in shaping if not policy.overrides(each, "patch"))
        self._compiler = compile.Compiler([*others, self._witness])
        self._shapes: list[shapes.Shape] = []
        """They hold the nodes that proxies share, which would be built again without them."""
        self._shared: dict[tuple[str, str], Finished] = {}
        self._met: dict[str, tuple[Finished, ...]] = {}

    def at(self, subject: proxy.ProxyFacts) -> tuple[Finished, ...]:
        """What patches meet at a proxy; `compile.MissingIdentity` for one that cannot be configured."""
        name = subject.resource.meta.name
        found = self._met.get(name)
        if found is None:
            found = self._met[name] = self._compiled(subject)
        return found

    def _compiled(self, subject: proxy.ProxyFacts) -> tuple[Finished, ...]:
        said = self._compiler.match(self.picture, subject)
        self._witness.seen = self._shared
        shape = self._compiler.shape(self.picture, subject, said)
        self._shapes.append(shape)
        self._witness.seen = {}
        self._compiler.own(self.picture, subject, said, *self._credentials)
        return *self._witness.seen.values(), *(self._shared[key] for key in shape.built if key in self._shared)


def unmatched(
    changes: Sequence[modifications.Modification], found: Sequence[Finished]
) -> list[modifications.Modification]:
    """The changes that find nothing among some resources."""
    return [
        each
        for each in changes
        if not any(modifications.finds(each, one.kind, one.message, one.origin) for one in found)
    ]


def added(patching: policy.Policy, resources: Iterable[AnyResource]) -> tuple[Finished, ...]:
    """What policies of one patching kind add, which later changes can be about."""
    changes = (change for each in resources for change in patching.changes(each))
    return tuple(Finished(kind, message, patching.origin) for kind, message in modifications.brought(changes))
