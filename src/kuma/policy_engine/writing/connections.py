"""The two sides of what a legacy policy is about: who calls, and who is called, each by tags.

Policies of outbounds are chosen by the service that is called, so their destinations say a service and nothing else;
policies of inbounds may use any tags. Light: the command line imports it.
"""

from collections.abc import Iterator, Sequence

from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import selectors


class Connections(kinds.Spec, frozen=True):
    """Base of the specs: connections from proxies that fit one of `sources` to services that fit `destinations`."""

    sources: tuple[selectors.Selector, ...] = ()
    destinations: tuple[selectors.Selector, ...] = ()


def check_outbound(spec: Connections) -> Iterator[Violation]:
    """Violations of the sides of a policy that is chosen per destination service."""
    yield from selectors.check_selectors("sources", matches(spec.sources), service=True)
    yield from selectors.check_selectors(
        "destinations", matches(spec.destinations), at_least_one_tag=False, service=True, only_service=True
    )


def check_inbound(spec: Connections, destination_rules: Sequence[selectors.Extra] = ()) -> Iterator[Violation]:
    """Violations of the sides of a policy that is chosen by the tags of an inbound."""
    yield from selectors.check_selectors("sources", matches(spec.sources))
    yield from selectors.check_selectors("destinations", matches(spec.destinations), extra=destination_rules)


def matches(sides: Sequence[selectors.Selector]) -> list[selectors.Tags]:
    """The tags of each selector."""
    return [each.match for each in sides]
