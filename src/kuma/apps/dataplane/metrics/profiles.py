"""Which of Envoy's metrics a MeshMetric lets through: profiles, then what it excludes, then what it includes.

The profile All has everything, None nothing, Basic what dashboards and alarms of a mesh are made of, without the
proxy's own plumbing. Of several the widest counts; without any, Basic does. Source: Kuma's MeshMetric documentation.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from kuma.apps.dataplane.metrics.exposition import Families, Family
from kuma.apps.dataplane.metrics.merging import CLUSTER, HTTP_PREFIX, LISTENER

Fits = Callable[[str], object]
"""Whether a name is meant; any true value does."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Names by Prefix, Exact, Contains or Regex (anywhere in the name)."""

    type: str
    match: str


@dataclass(frozen=True, slots=True)
class Profiles:
    """The choice of a MeshMetric, as it was written."""

    names: tuple[str, ...] = ()
    exclude: tuple[Selector, ...] = ()
    include: tuple[Selector, ...] = ()


_ANYWHERE = (
    "rq_time",
    "cx_length_ms",
    "cx_count",
    "_rq",
    "bytes",
    "timeout",
    "health_check",
    "lb_healthy_panic",
    "cx_destroy",
    "error",
    "fail",
    "reset",
    "eject",
    "overflow",
    "cancelled",
    "max_duration_reached",
    "no_cluster",
    "no_route",
    "no_filter_chain",
    "reject",
    "denied",
    "days_until_first_cert_expiring",
    "rbac",
    "cx_active",
    "cx_connect",
    "circuit_breakers",
    "cx_total",
    "ssl_handshake",
    "ssl_context_update_by_sds",
)
_AT_START = ("envoy_server", "envoy_control_plane", "envoy_dns_filter", "envoy_dns_cares", "kuma_dp_dns")
_WHOLE = ("envoy_cluster_membership_degraded", "envoy_cluster_membership_healthy", "envoy_cluster_membership_total")
_BASIC = re.compile(f"{'|'.join(_ANYWHERE)}|^(?:{'|'.join(_AT_START)})|^(?:{'|'.join(_WHOLE)})$").search

_PLUMBING = re.compile(
    rf'(?:^|,)(?:{CLUSTER}|{HTTP_PREFIX}|{LISTENER})="'
    r'(?:system_|_|tracing|(?:ads_cluster|access_log_sink|kuma:envoy:admin|kuma:metrics:hijacker)")'
).search
"""Labels that name a part of Envoy's configuration which serves the proxy itself."""


def filter_profiles(families: Families, profiles: Profiles) -> None:
    """Removes what was not asked for, in place. Series of the plumbing go where the profile is Basic."""
    keeps = keeps_of(profiles)
    for family in [each for each in families.values() if not keeps(each)]:
        del families[family.name]


def keeps_of(profiles: Profiles) -> Callable[[Family], bool]:
    """Whether any of a family was asked for; what was not is removed from it."""
    is_basic = "All" not in profiles.names and ("Basic" in profiles.names or not profiles.names)
    selects: Fits = _BASIC if is_basic else (lambda _: "All" in profiles.names)
    excluded = [_fits(each) for each in profiles.exclude]
    included = [_fits(each) for each in profiles.include]

    def keeps(family: Family) -> bool:
        name = family.name
        wanted = bool(selects(name)) and not any(fits(name) for fits in excluded)
        if not wanted and not any(fits(name) for fits in included):
            return False
        if is_basic:
            family.samples = [each for each in family.samples if not _PLUMBING(each.labels)]
        return bool(family.samples)

    return keeps


def _fits(selector: Selector) -> Fits:
    """What the selector says of a name; nothing fits one that cannot be understood."""
    if selector.type == "Regex":
        try:
            return re.compile(selector.match).search
        except re.error:
            return lambda _: False
    match selector.type:
        case "Prefix":
            return lambda name: name.startswith(selector.match)
        case "Exact":
            return lambda name: name == selector.match
        case "Contains":
            return lambda name: selector.match in name
    return lambda _: False
