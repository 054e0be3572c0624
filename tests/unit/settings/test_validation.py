from pathlib import Path

import pytest

from kuma.apps.control_plane.settings import tree as settings
from kuma.base import errors

RULES = [
    ({"KUMA_MODE": "local"}, "Mode validation failed: invalid mode. Available modes: standalone, zone, global"),
    ({"KUMA_ENVIRONMENT": "moon"}, "Environment should be either kubernetes or universal"),
    (
        {"KUMA_STORE_TYPE": "paper"},
        "Store validation failed: Type should be either sqlite, postgres, kubernetes or memory",
    ),
    ({"KUMA_STORE_SQLITE_PATH": ""}, "Store validation failed: Sqlite validation failed: Path should not be empty"),
    (
        {"KUMA_STORE_TYPE": "postgres", "KUMA_STORE_POSTGRES_HOST": ""},
        "Store validation failed: Postgres validation failed: Host should not be empty",
    ),
    (
        {"KUMA_STORE_TYPE": "postgres", "KUMA_STORE_POSTGRES_TLS_MODE": "verifyCa"},
        "Store validation failed: Postgres validation failed: TLS validation failed: CAPath cannot be empty",
    ),
    (
        {"KUMA_STORE_TYPE": "postgres", "KUMA_STORE_POSTGRES_TLS_CERT_PATH": "/c"},
        "Store validation failed: Postgres validation failed: TLS validation failed: "
        "KeyPath cannot be empty when CertPath is provided",
    ),
    (
        {"KUMA_STORE_TYPE": "postgres", "KUMA_STORE_POSTGRES_READ_REPLICA_RATIO": "101"},
        "Store validation failed: Postgres validation failed: ReadReplica validation failed: "
        ".Ratio out of [0-100] range",
    ),
    ({"KUMA_MULTIZONE_ZONE_NAME": ""}, "Multizone Zone validation failed: Name is mandatory"),
    (
        {"KUMA_MULTIZONE_ZONE_NAME": "A_b"},
        "Multizone Zone validation failed: Zone name A_b has to be a valid DNS name",
    ),
    (
        {"KUMA_MULTIZONE_ZONE_NAME": "z" * 64},
        "Multizone Zone validation failed: Zone name cannot be longer than 63 characters",
    ),
    (
        {"KUMA_MULTIZONE_ZONE_GLOBAL_ADDRESS": "http://x:1"},
        'Multizone Zone validation failed: unsupported scheme "http" in zone GlobalAddress. Use one of [grpc grpcs]',
    ),
    (
        {"KUMA_MODE": "global", "KUMA_MULTIZONE_GLOBAL_KDS_GRPC_PORT": "70000"},
        "Multizone Global validation failed: .GrpcPort must be in the range [0, 65535]",
    ),
    (
        {"KUMA_MODE": "global", "KUMA_MULTIZONE_GLOBAL_KDS_TLS_KEY_FILE": "/k"},
        "Multizone Global validation failed: .TlsCertFile cannot be empty if TlsKeyFile has been set",
    ),
    (
        {"KUMA_MODE": "global", "KUMA_MULTIZONE_GLOBAL_KDS_ZONE_HEALTH_CHECK_TIMEOUT": "1s"},
        "Multizone Global validation failed: timeout and pollInterval must both be either set or unset",
    ),
    ({"KUMA_API_SERVER_HTTP_PORT": "70000"}, "Port must be in range [0, 65535]"),
    ({"KUMA_API_SERVER_HTTP_INTERFACE": ""}, "Interface cannot be empty"),
    ({"KUMA_API_SERVER_ROOT_URL": "a b"}, "ApiServer validation failed: RootUrl is not a valid url"),
    ({"KUMA_DNS_SERVER_DOMAIN": ".mesh"}, "DNSServer validation failed: domain must not start with a dot"),
    ({"KUMA_DNS_SERVER_CIDR": "240.0.0.0"}, "DNSServer validation failed: CIDR must be valid"),
    ({"KUMA_DNS_SERVER_SERVICE_VIP_PORT": "0"}, "DNSServer validation failed: port can't be 0"),
    (
        {"KUMA_DIAGNOSTICS_TLS_MIN_VERSION": "TLSv9"},
        "Diagnostics validation failed: unsupported tls version: TLSv9 supported versions:",
    ),
    (
        {"KUMA_DP_SERVER_TLS_CIPHER_SUITES": "TLS_ROT13"},
        "Dp Server validation failed: unsupported tls cipher: TLS_ROT13",
    ),
    ({"KUMA_GENERAL_TLS_MAX_VERSION": "1.3"}, "General validation failed: unsupported tls version: 1.3"),
    (
        {"KUMA_METRICS_DATAPLANE_SUBSCRIPTION_LIMIT": "-1"},
        "Metrics validation failed: SubscriptionLimit should be positive or equal 0",
    ),
    (
        {"KUMA_METRICS_MESH_MIN_RESYNC_INTERVAL": "1h"},
        "Metrics validation failed: FullResyncInterval should be greater than MinResyncInterval",
    ),
    ({"KUMA_IPAM_MESH_SERVICE_CIDR": "x"}, "IPAM validation failed: MeshService validation failed: CIDR must be valid"),
    (
        {"KUMA_MESH_SERVICE_LABEL_PROPAGATION_ALLOWED_LABEL_KEYS": "kuma.io/mesh"},
        "MeshService validation failed: .MeshService.LabelPropagation.AllowedLabelKeys contains reserved key "
        '"kuma.io/mesh"',
    ),
    ({"KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE": "magic"}, "Got magic"),
    ({"KUMA_DP_SERVER_PORT": "-1"}, "Dp Server validation failed: .Port must be in range [0, 65535]"),
]


@pytest.mark.parametrize(("environ", "expected"), RULES)
def test_a_broken_rule_stops_the_start_and_says_where(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        settings.load("", environ)
    text = str(refused.value)
    assert text.startswith("configuration validation failed: ")
    assert expected in text


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("{key: K}", ".KID is required"),
        ("{kid: a}", "either .KeyFile or .Key has to be defined"),
        ("{kid: a, key: K, keyFile: /f}", "both .KeyFile or .Key cannot be defined"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "apiServer: {{authn: {{tokens: {{validator: {{publicKeys: [{}]}}}}}}}}",
        "dpServer: {{authn: {{dpProxy: {{dpToken: {{validator: {{publicKeys: [{}]}}}}}}}}}}",
        "dpServer: {{authn: {{zoneProxy: {{zoneToken: {{validator: {{publicKeys: [{}]}}}}}}}}}}",
    ],
)
def test_a_public_key_that_is_not_whole_is_refused(tmp_path: Path, form: str, key: str, expected: str) -> None:
    path = tmp_path / "cp.yaml"
    path.write_text(form.format(key))
    with pytest.raises(errors.BadRequest) as refused:
        settings.load(str(path), {})
    assert f"PublicKeys[0] is not valid: {expected}" in str(refused.value)


@pytest.mark.parametrize(
    "environ",
    [
        # In mode global the settings of zones are not looked at, and the reverse.
        {"KUMA_MODE": "global", "KUMA_MULTIZONE_ZONE_NAME": ""},
        {"KUMA_MODE": "zone", "KUMA_MULTIZONE_GLOBAL_KDS_GRPC_PORT": "70000"},
        {"KUMA_STORE_TYPE": "memory", "KUMA_STORE_POSTGRES_HOST": ""},
        {"KUMA_MULTIZONE_ZONE_GLOBAL_ADDRESS": "grpcs://global:5685"},
    ],
)
def test_what_is_not_used_is_not_checked(environ: dict[str, str]) -> None:
    assert settings.resolve("", environ).settings.mode == environ.get("KUMA_MODE", "zone")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"KUMA_STORE_TYPE": "kubernetes"}, "store.type"),
        ({"KUMA_ENVIRONMENT": "kubernetes"}, "environment"),
    ],
)
def test_parts_that_are_not_built_yet_are_refused_by_name(environ: dict[str, str], named: str) -> None:
    with pytest.raises(errors.BadRequest, match=rf"^{named}: this control plane"):
        settings.load("", environ)
    assert settings.resolve("", environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"KUMA_STORE_TYPE": "sqlite"},
        {"KUMA_STORE_TYPE": "memory"},
        {"KUMA_MODE": "global"},
        {"KUMA_MULTIZONE_ZONE_GLOBAL_ADDRESS": "grpcs://global:5685"},
    ],
)
def test_what_is_built_is_not_refused(environ: dict[str, str]) -> None:
    assert settings.load("", environ) == settings.resolve("", environ)
