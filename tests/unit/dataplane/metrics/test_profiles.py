"""Which of Envoy's metrics a MeshMetric lets through."""

import pytest

from kuma.apps.dataplane.metrics import exposition, profiles
from kuma.apps.dataplane.metrics.profiles import Profiles, Selector

NAMES = [
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_membership_healthy",
    "envoy_cluster_membership_change",
    "envoy_server_live",
    "my_envoy_server_live",
    "envoy_listener_manager_lds_version",
    "envoy_rbac_allowed",
]
BASIC = {
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_membership_healthy",
    "envoy_server_live",
    "envoy_rbac_allowed",
}


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (Profiles(), BASIC),
        (Profiles(("Basic",)), BASIC),
        (Profiles(("None", "Basic")), BASIC),
        (Profiles(("Basic", "All", "None")), set(NAMES)),
        (Profiles(("None",)), set()),
        (Profiles(("None",), include=(Selector("Regex", "rbac.*d$"),)), {"envoy_rbac_allowed"}),
        (Profiles(("None",), include=(Selector("Regex", "("),)), set()),
        (Profiles(("None",), include=(Selector("Unheard", "envoy"),)), set()),
        (Profiles(("None",), include=(Selector("Prefix", "envoy_cluster_m"),)), set(NAMES[1:3])),
        (Profiles(("None",), include=(Selector("Exact", "envoy_server_live"),)), {"envoy_server_live"}),
        (Profiles(("All",), exclude=(Selector("Contains", "envoy"),)), set()),
        (
            Profiles(("All",), (Selector("Prefix", "envoy"),), (Selector("Contains", "lds"),)),
            {"my_envoy_server_live", "envoy_listener_manager_lds_version"},
        ),
    ],
)
def test_names(chosen: Profiles, kept: set[str]) -> None:
    families = exposition.parse("".join(f"# TYPE {name} gauge\n{name} 1\n" for name in NAMES))
    profiles.filter_profiles(families, chosen)
    assert set(families) == kept


@pytest.mark.parametrize(
    ("label", "is_plumbing"),
    [
        ('envoy_cluster_name="web"', False),
        ('envoy_cluster_name="ads_cluster"', True),
        ('envoy_cluster_name="ads_cluster_of_mine"', False),
        ('envoy_cluster_name="system_ads"', True),
        ('envoy_cluster_name="_kuma:metrics:opentelemetry:x"', True),
        ('envoy_cluster_name="tracing:zipkin"', True),
        ('x="1",envoy_http_conn_manager_prefix="_kuma_dynamicconfig"', True),
        ('envoy_listener_address="system_envoy_admin"', True),
        ('service="ads_cluster"', False),
    ],
)
def test_plumbing_shows_in_the_profile_all_alone(label: str, is_plumbing: bool) -> None:
    for names, expected in ((("Basic",), not is_plumbing), (("All",), True)):
        families = exposition.parse(f"# TYPE envoy_rq gauge\nenvoy_rq{{{label}}} 1")
        profiles.filter_profiles(families, Profiles(names))
        assert ("envoy_rq" in families) is expected


def test_what_is_included_loses_its_plumbing_too() -> None:
    families = exposition.parse('# TYPE a gauge\na{envoy_cluster_name="ads_cluster"} 1\na{envoy_cluster_name="web"} 1')
    profiles.filter_profiles(families, Profiles(include=(Selector("Exact", "a"),)))
    assert [each.labels for each in families["a"].samples] == ['envoy_cluster_name="web"']
