"""Envoy itself reads what we generate: every variant passes its validation."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.dataplane.supervised import envoy
from kuma.envoy import bootstrap
from kuma.envoy import bootstrap_request as requests
from kuma.security import certificates

CA = certificates.self_signed(["localhost"], datetime(2026, 1, 1, tzinfo=UTC)).cert_pem
TOKEN_FILE = {"dataplane_token": "t", "dataplane_token_path": "/dev/null"}


@pytest.mark.parametrize(
    ("asked", "facts", "params"),
    [
        pytest.param({}, {}, {}, id="plain"),
        pytest.param({"features": ["feature-delta-grpc"], "dataplane_token": "t"}, {}, {}, id="delta with a token"),
        pytest.param(TOKEN_FILE, {}, {"reloadable_tokens": True}, id="token from a file"),
        pytest.param({}, {"xds_host": "::1"}, {"admin_unix_socket": False}, id="IPv6 and admin over TCP"),
        pytest.param({}, {"xds_host": "cp.example", "host_v4_only": True}, {}, id="IPv4 name"),
        pytest.param({"proxy_type": "egress", "mesh": ""}, {"service": "egress"}, {}, id="zone egress"),
        pytest.param(
            {"resources": requests.ProxyResources(268435456)}, {"builtin_gateway": True}, {}, id="builtin gateway"
        ),
    ],
)
def test_envoy_accepts(tmp_path: Path, asked: dict[str, Any], facts: dict[str, Any], params: dict[str, Any]) -> None:
    request = requests.Request(**{"mesh": "default", "name": "web-1", "workdir": str(tmp_path), **asked})
    known = bootstrap.Facts(**{"service": "web", "xds_host": "localhost", "ca": CA, **facts})
    config = bootstrap.generate_bootstrap(request, known, bootstrap.Params(**params))
    path = tmp_path / "bootstrap.yaml"
    path.write_bytes(bootstrap.to_yaml(config))

    checked = subprocess.run(
        [envoy.find_envoy("envoy"), "--mode", "validate", "--config-path", str(path), "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert checked.returncode == 0, checked.stderr
