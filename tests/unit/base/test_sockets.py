"""Paths of sockets that agent and control plane both derive."""

import pytest

from kuma.base import sockets


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (sockets.access_log("/run/dp", "default", "web-1"), "/run/dp/kuma-al-web-1-default.sock"),
        (sockets.metrics("/run/dp/", "default", "web-1"), "/run/dp/kuma-mh-web-1-default.sock"),
        (sockets.dynamic_config("/run/dp"), "/run/dp/kuma-mesh-metric-config.sock"),
        (sockets.admin(""), "kuma-envoy-admin.sock"),
        (sockets.metrics("/run", "m", "n" * 200), "/run/kuma-mh-" + "n" * 85 + ".sock"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected
