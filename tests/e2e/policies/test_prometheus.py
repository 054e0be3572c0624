"""A real Prometheus reads what a MeshMetric offers, from two proxies, and answers queries about it.

Its targets are written down: the control plane does not discover them for it (MADS).
"""

from pathlib import Path

import pytest

from tests.kit import meshes, network, planes, prometheus, receivers, traffic

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("meshmetric"),
    pytest.mark.skipif(prometheus.binary() is None, reason=prometheus.WHY_NOT),
]

SHOP = '# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total{kind="book"} 7\n'
CALLS = 5


def test_requests_and_orders_are_counted(shared_plane: planes.Plane, tmp_path: Path) -> None:
    with meshes.mesh(shared_plane) as mesh, receivers.metrics(SHOP) as application:
        web, server = mesh.pair()
        port = network.free_port()
        conf = {
            "applications": [{"name": "shop", "port": application, "address": "127.0.0.1"}],
            "backends": [{"type": "Prometheus", "prometheus": {"port": port, "path": "/scrape"}}],
        }
        mesh.plane.put({"type": "MeshMetric", "mesh": mesh.name, "name": "all", "spec": {"default": conf}})
        traffic.until_status(web.url("echo"), 200)
        before = web.stat("cluster.echo.upstream_rq_total")
        for _ in range(CALLS):
            assert traffic.status(web.url("echo")) == 200
        targets = [f"{each.address}:{port}" for each in (web, server)]
        job = {"job_name": "mesh", "metrics_path": "/scrape", "static_configs": [{"targets": targets}]}
        with prometheus.prometheus(tmp_path, job) as reader:
            calls = f'envoy_cluster_upstream_rq_total{{dataplane="web",envoy_cluster_name="echo"}} >= {before + CALLS}'
            (found,) = network.until("the calls are counted", lambda: reader.query(calls))
            assert found["mesh"] == mesh.name
            assert (found["service"], found["kuma_proxy_role"], found["instance"]) == ("web", "sidecar", targets[0])

            def both() -> bool:
                orders = {each["dataplane"]: each for each in reader.query("shop_orders_total")}
                assert orders.keys() == {"web", "echo"}, orders
                assert all((each["kind"], each["value"]) == ("book", "7") for each in orders.values())
                return True

            network.until("both proxies offer the orders", both)
            assert set(reader.problems().values()) == {""}
