"""RateLimits and ExternalServices that cannot live together: clients limit what they ask of an external service by its
service tag alone, so a limit that also looks at other tags of one would not do what it says.

Source: Kuma's documentation, "Rate Limit" (external services). Whichever of the two is written second is refused.
"""

from collections.abc import Iterable
from typing import Any

from kuma.base import errors, labels
from kuma.legacy_policies.ratelimit import model as rate_limits
from kuma.resources import resource as res
from kuma.resources import selectors
from kuma.resources.kinds import externalservice
from kuma.store import protocol

AnyResource = res.Resource[Any]


class _Unattached:
    """What both kinds have in common: nothing follows from them, and nothing holds them."""

    def __init__(self, store: protocol.Store) -> None:
        self._store = store

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Nothing follows from it."""

    async def release(self, current: AnyResource) -> None:
        """Nothing holds it."""


class RateLimitRules(_Unattached):
    """Implements `resources.Rules` for RateLimits."""

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """The RateLimit as it is; InvalidResource where a destination with more than a service fits an ExternalService."""
        for outer in await self._store.list(externalservice.KIND, desired.meta.mesh):
            if _limits_by_other_tags(desired.spec, outer.spec.tags):
                reason = (
                    f"RateLimit applied to external service only supports {labels.SERVICE_TAG} as destination match"
                )
                raise errors.InvalidResource([errors.Violation("ratelimit", reason)])
        return desired


class ExternalServiceRules(_Unattached):
    """Implements `resources.Rules` for ExternalServices."""

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """The ExternalService as it is; InvalidResource where such a RateLimit would fit it."""
        found: Iterable[AnyResource] = await self._store.list(rate_limits.KIND, desired.meta.mesh)
        for limit in sorted(found, key=lambda each: each.meta.name):
            if _limits_by_other_tags(limit.spec, desired.spec.tags):
                reason = (
                    f"ExternalService would match RateLimit '{limit.meta.name}' "
                    "which includes incompatible destination matches"
                )
                raise errors.InvalidResource([errors.Violation("externalservice", reason)])
        return desired


def _limits_by_other_tags(limit: rate_limits.RateLimit, tags: selectors.Tags) -> bool:
    """Whether one of the destinations fits the tags, and asks for more than a service."""
    return any(
        set(each.match) - {labels.SERVICE_TAG} and selectors.matches(each.match, tags) for each in limit.destinations
    )
