"""What a policy is to the engine: a kind, a place in the order, and hooks for the nodes it cares about.

The engine finds the confs that apply to a node and hands them over with the node; a hook edits the node's Envoy
messages in place and never searches. Every hook does nothing unless a policy overrides it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from kuma.plan import nodes, proxy
from kuma.resources import kind as kinds
from kuma.resources import resource as res

Conf = TypeVar("Conf", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Context:
    """The few facts of mesh and proxy that translations need. `several_sans`: certificates carry more than one URI."""

    mesh: str
    mtls: bool
    several_sans: bool = True


@dataclass(frozen=True, slots=True)
class ClientEntry(Generic[Conf]):
    """One entry of some `from[]`: clients that carry all `tags` get `conf`, unless a later entry says otherwise."""

    tags: tuple[tuple[str, str], ...]
    conf: Conf
    origin: res.ResourceRef


@dataclass(frozen=True, slots=True)
class InboundRule(Generic[Conf]):
    """From `rules[]` entries: one entry of one policy, in order of precedence, not merged."""

    conf: Conf
    origin: res.ResourceRef


@dataclass(frozen=True, slots=True)
class InboundMatch:
    """What all policies of one kind say of one inbound. `on_proxy`: some policy of the kind is about the proxy.

    `clients` stand from the least to the most important, `rules` from the most to the least.
    """

    clients: tuple[ClientEntry[Any], ...] = ()
    rules: tuple[InboundRule[Any], ...] = ()
    on_proxy: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said of this inbound."""
        return not self.clients and not self.rules

    @property
    def origins(self) -> tuple[res.ResourceRef, ...]:
        """Every policy that has a part in it."""
        found = [each.origin for each in self.clients] + [each.origin for each in self.rules]
        return tuple(dict.fromkeys(found))


NOTHING = InboundMatch()


class Policy:
    """One kind of policy. `order` decides which policy edits first; it can be seen in the result, so it is explicit."""

    kind: kinds.Kind[Any]
    order: int

    def match_inbound(
        self, policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
    ) -> InboundMatch:
        """What `policies`, all of this kind in the proxy's mesh, say of one inbound."""
        return NOTHING

    def inbound(self, match: InboundMatch, node: nodes.InboundNode, context: Context) -> None:
        """Edits an inbound; called for every inbound, also where nothing matched."""
