"""Subsets of one service as one cluster, and the mark of the mesh's traffic."""

import pytest

from kuma.apps.dataplane.metrics import exposition, merging

A, B = "0123456789abcdef", "fedcba9876543210"


def merged(text: str) -> str:
    families = exposition.parse(text)
    merging.merge_clusters(families)
    return exposition.render(families.values())


def test_subsets_are_summed_label_by_label() -> None:
    text = (
        "# TYPE rq counter\n"
        f'rq{{code="200",envoy_cluster_name="web-{A}"}} 1\nrq{{code="500",envoy_cluster_name="web-{A}"}} 2\n'
        f'rq{{envoy_cluster_name="web-{B}",code="200"}} 1000000\nrq{{code="200",envoy_cluster_name="web"}} 7\n'
    )
    mark = 'envoy_cluster_name="web",kuma_io_mesh_traffic="true"'
    assert merged(text) == (f'# TYPE rq counter\nrq{{code="200",{mark}}} 1.000008e+06\nrq{{code="500",{mark}}} 2\n')


def test_whole_clusters_are_summed_with_their_own_subsets_alone() -> None:
    text = (
        '# TYPE rq counter\nrq{envoy_cluster_name="web"} 7 100\nrq{envoy_cluster_name="api"} 5 100\n'
        f'rq{{envoy_cluster_name="web-{A}"}} 1 100\n'
    )
    mark = 'kuma_io_mesh_traffic="true"'
    assert merged(text) == (
        f'# TYPE rq counter\nrq{{envoy_cluster_name="web",{mark}}} 8\nrq{{envoy_cluster_name="api",{mark}}} 5 100\n'
    )


def test_buckets_and_quantiles_are_summed_by_their_bounds() -> None:
    cluster = [f'envoy_cluster_name="web-{each}"' for each in (A, B)]
    text = "# TYPE h histogram\n" + "".join(
        f'h_bucket{{{each},le="1"}} 1\nh_bucket{{{each},le="+Inf"}} 2\nh_sum{{{each}}} 0.5\nh_count{{{each}}} 2\n'
        for each in cluster
    )
    text += "# TYPE s summary\n" + "".join(f's{{{each},quantile="0.5"}} 3\n' for each in cluster)
    mark = 'envoy_cluster_name="web",kuma_io_mesh_traffic="true"'
    assert merged(text) == (
        f'# TYPE h histogram\nh_bucket{{{mark},le="1"}} 2\nh_bucket{{{mark},le="+Inf"}} 4\nh_sum{{{mark}}} 1\n'
        f'h_count{{{mark}}} 4\n# TYPE s summary\ns{{{mark},quantile="0.5"}} 6\n'
    )


@pytest.mark.parametrize(
    ("label", "marked"),
    [
        ('envoy_cluster_name="web"', True),
        ('envoy_cluster_name="localhost_8080"', True),
        ('envoy_cluster_name="ads_cluster"', False),
        ('envoy_cluster_name="access_log_sink"', False),
        ('envoy_cluster_name="system_ads"', False),
        ('envoy_cluster_name="kuma_envoy_admin"', False),
        ('envoy_cluster_name="kuma_metrics_hijacker"', False),
        ('envoy_http_conn_manager_prefix="web"', True),
        ('envoy_http_conn_manager_prefix="admin"', False),
        ('envoy_http_conn_manager_prefix="kuma_metrics_prometheus"', False),
        ('envoy_listener_address="127.0.0.1_80"', False),
        ('my_envoy_cluster_name="web"', False),
    ],
)
def test_traffic_of_the_mesh_is_marked(label: str, marked: bool) -> None:
    mark = ',kuma_io_mesh_traffic="true"' if marked else ""
    assert merged(f"# TYPE a gauge\na{{{label}}} 1\n") == f"# TYPE a gauge\na{{{label}{mark}}} 1\n"


@pytest.mark.parametrize("name", [f"web-{A[:15]}", f"web-{A}0", f"web_{A}", f"web-{A[:15]}g"])
def test_other_names_are_no_subsets(name: str) -> None:
    text = f'# TYPE a gauge\na{{envoy_cluster_name="{name}"}} 1\na{{envoy_cluster_name="web-{A}"}} 1\n'
    assert f'a{{envoy_cluster_name="{name}",' in merged(text)
