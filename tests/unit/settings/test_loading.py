import json
from pathlib import Path

import pytest

from kuma.apps.control_plane.settings import fields as settings_fields
from kuma.apps.control_plane.settings import tree as settings
from kuma.base import durations, errors

HOME = {"HOME": "/home/mesh"}


def written(folder: Path, text: str) -> str:
    path = folder / "cp.yaml"
    path.write_text(text)
    return str(path)


def test_without_anything_the_defaults_hold_and_are_completed() -> None:
    loaded = settings.load("", HOME)
    assert loaded.deprecations == ()
    now = loaded.settings
    assert (now.store.type, now.store.sqlite.path) == ("sqlite", "kuma.db")
    assert now.general.work_dir == "/home/mesh/.kuma"
    assert now.general.tls_cert_file == now.dp_server.tls_cert_file == "/home/mesh/.kuma/kuma-cp.crt"
    assert now.api_server.https.tls_key_file == now.diagnostics.tls_key_file == "/home/mesh/.kuma/kuma-cp.key"
    assert now.multizone.global_.kds.tls_cert_file == "/home/mesh/.kuma/kuma-cp.crt"
    assert (now.dp_server.authn.dp_proxy.type, now.dp_server.authn.zone_proxy.type) == ("dpToken", "zoneToken")
    assert now.bootstrap_server.params.xds_port == 5678
    assert now.inter_cp.catalog.instance_address


def test_environment_wins_over_file_and_file_over_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "apiServer:\n  http: {port: 1001, interface: 10.0.0.1}\n  https: {port: 1002}\nstore: {sqlite: {path: a.db}}\n",
    )
    now = settings.load(path, {**HOME, "KUMA_API_SERVER_HTTP_PORT": "2001"}).settings
    assert (now.api_server.http.port, now.api_server.http.interface) == (2001, "10.0.0.1")
    assert (now.api_server.https.port, now.store.sqlite.path) == (1002, "a.db")
    assert settings.load("", {**HOME, "KUMA_STORE_SQLITE_PATH": "/var/lib/kuma.db"}).settings.store.sqlite.path == (
        "/var/lib/kuma.db"
    )


def test_general_tls_does_not_replace_what_a_server_has_of_its_own(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "general: {tlsCertFile: /g.crt, tlsKeyFile: /g.key, tlsMaxVersion: TLSv1_3}\n"
        "dpServer: {tlsCertFile: /d.crt, tlsKeyFile: /d.key}\n",
    )
    now = settings.load(path, HOME).settings
    assert (now.dp_server.tls_cert_file, now.dp_server.tls_max_version) == ("/d.crt", "TLSv1_3")
    assert (now.api_server.https.tls_cert_file, now.inter_cp.server.tls_max_version) == ("/g.crt", "TLSv1_3")


@pytest.mark.parametrize(
    "text",
    [
        "DPSERVER: {PORT: 7001}",
        "dpserver: {port: 7001, unknown: {deep: 1}}\nstranger: true",
        '{"dpServer": {"port": 7001}, "dnsServer": {"cidr": "240.0.0.0/4"}}',
        "dpServer: {port: 7001, tlsCertFile: }\ngeneral: ",
    ],
)
def test_keys_match_in_any_case_unknown_ones_and_nulls_are_ignored(tmp_path: Path, text: str) -> None:
    assert settings.load(written(tmp_path, text), HOME).settings.dp_server.port == 7001


def test_values_of_every_type_are_read_from_a_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
xdsServer: {nackBackoff: 1m30s, dataplaneStatusFlushInterval: 5000000000}
apiServer: {readOnly: true, corsAllowedDomains: [a, b]}
runtime: {kubernetes: {injector: {exceptions: {labels: {x: "y"}}, initContainer: {resources: {limits: {cpu: 0}}}}}}
dpServer: {authn: {dpProxy: {dpToken: {validator: {publicKeys: [{kid: "1", key: K}, {kid: 2, keyFile: /f, mesh: m}]}}}}}
""",
    )
    now = settings.load(path, HOME).settings
    assert now.xds_server.nack_backoff == 90 * durations.SECOND
    assert now.xds_server.dataplane_status_flush_interval == 5 * durations.SECOND
    assert (now.api_server.read_only, now.api_server.cors_allowed_domains) == (True, ["a", "b"])
    labels = now.runtime.kubernetes.injector.exceptions.labels
    assert (labels["x"], labels["openshift.io/build.name"]) == ("y", "*")
    assert now.runtime.kubernetes.injector.init_container.resources.limits.cpu == "0"
    assert now.dp_server.authn.dp_proxy.dp_token.validator.public_keys == [
        settings_fields.PublicKey("1", "K"),
        settings_fields.PublicKey("2", "", "/f", "m"),
    ]


def test_values_of_every_type_are_read_from_the_environment() -> None:
    now = settings.load(
        "",
        {
            **HOME,
            "KUMA_API_SERVER_READ_ONLY": "T",
            "KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY": "1m",
            "KUMA_API_SERVER_CORS_ALLOWED_DOMAINS": "a,b",
            "KUMA_COREDNS": "ignored",
            "KUMA_PLUGIN_POLICIES_ENABLED": "",
            "KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_EXCLUDE_INBOUND_PORTS": "1,2",
            "KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_ENV_VARS": "a:b,c:d:e",
        },
    ).settings
    assert now.api_server.read_only
    assert now.xds_server.dataplane_deregistration_delay == durations.MINUTE
    assert now.api_server.cors_allowed_domains == ["a", "b"]
    assert now.policies.plugin_policies_enabled == []
    assert now.runtime.kubernetes.injector.sidecar_traffic.exclude_inbound_ports == [1, 2]
    assert now.runtime.kubernetes.injector.sidecar_container.env_vars == {"a": "b", "c": "d:e"}


ENV = "processing environment variables failed: envconfig.Process: assigning "


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_EXCLUDE_INBOUND_PORTS",
            "v",
            "RUNTIME_KUBERNETES_INJECTOR_SIDECARTRAFFIC_KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_EXCLUDE_INBOUND_PORTS "
            "to ExcludeInboundPorts: converting 'v' to type []uint32. "
            'details: strconv.ParseUint: parsing "v": invalid syntax',
        ),
        (
            "KUMA_DP_SERVER_PORT",
            "",
            "DPSERVER_KUMA_DP_SERVER_PORT to Port: converting '' to type int. "
            'details: strconv.ParseInt: parsing "": invalid syntax',
        ),
        (
            "KUMA_API_SERVER_READ_ONLY",
            "yes",
            "APISERVER_KUMA_API_SERVER_READ_ONLY to ReadOnly: converting 'yes' to type bool. "
            'details: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
        (
            "KUMA_DIAGNOSTICS_SERVER_PORT",
            "4294967296",
            "DIAGNOSTICS_KUMA_DIAGNOSTICS_SERVER_PORT to ServerPort: converting '4294967296' to type uint32. "
            'details: strconv.ParseUint: parsing "4294967296": value out of range',
        ),
    ],
)
def test_an_environment_value_that_does_not_parse_is_named(name: str, text: str, expected: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        settings.load("", {**HOME, name: text})
    assert str(refused.value) == ENV + expected


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.yaml")
    with pytest.raises(errors.BadRequest) as refused:
        settings.load(absent, HOME)
    assert str(refused.value) == (
        f"unable to access configuration file '{absent}', please check if the file exists and has the correct permissions"
    )
    with pytest.raises(errors.BadRequest, match=r"^reading configuration from file '.*' failed: "):
        settings.load(str(tmp_path), HOME)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "while parsing"),
        ("- a", "the document: expected an object, got a list"),
        ("dpServer: {port: x}", "dpServer.port: expected a whole number, got a text"),
        ("dpServer: {hds: {interval: soon}}", 'dpServer.hds.interval: time: invalid duration "soon"'),
        ("apiServer: {corsAllowedDomains: a}", "apiServer.corsAllowedDomains: expected a list, got a text"),
        ("apiServer: 1", "apiServer: expected an object, got a number"),
        ("apiServer: {readOnly: 1}", "apiServer.readOnly: expected true or false, got a number"),
        ("general: {workDir: [a]}", "general.workDir: expected a text, got a list"),
    ],
)
def test_a_file_with_a_wrong_value_names_its_place(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(errors.BadRequest) as refused:
        settings.load(path, HOME)
    assert str(refused.value).startswith(f"parsing configuration from file '{path}' failed: {reason}")


def test_old_names_work_and_are_reported(tmp_path: Path) -> None:
    loaded = settings.load(
        written(tmp_path, "metrics: {mesh: {minResyncTimeout: 2s}}\nmode: standalone"),
        {**HOME, "KUMA_METRICS_MESH_MAX_RESYNC_TIMEOUT": "40s"},
    )
    resync = loaded.settings.metrics.mesh
    assert (resync.min_resync_interval, resync.full_resync_interval) == (2 * durations.SECOND, 40 * durations.SECOND)
    assert loaded.settings.mode == "zone"
    assert loaded.deprecations[:2] == (
        "Deprecated: Metrics.Mesh.MinResyncTimeout. Use Metrics.Mesh.MinResyncInterval instead.",
        "Deprecated: Metrics.Mesh.MaxResyncTimeout. Use Metrics.Mesh.FullResyncInterval instead.",
    )


# What /config shows


def test_config_is_printed_as_kuma_prints_it() -> None:
    shown = settings.load("", HOME).settings.as_config()
    assert list(shown)[:5] == ["environment", "mode", "store", "bootstrapServer", "monitoringAssignmentServer"]
    assert shown["store"]["postgres"]["password"] == "*****"
    assert shown["store"]["postgres"]["maxConnectionIdleTime"] == "30m0s"
    assert shown["runtime"]["universal"]["dataplaneCleanupAge"] == "72h0m0s"
    assert shown["multizone"]["zone"] == {
        "name": "default",
        "kds": shown["multizone"]["zone"]["kds"],
        "ingressUpdateInterval": "1s",
    }
    assert shown["multizone"]["zone"]["kds"]["labels"] == shown["multizone"]["global"]["kds"]["labels"] == {}
    assert shown["tracing"] == {"openTelemetry": {}}
    assert shown["defaults"]["SkipHostnameGenerators"] is False
    assert shown["dnsServer"]["CIDR"] == "240.0.0.0/4"
    assert "allowedUsers" not in shown["runtime"]["kubernetes"]
    assert "adminPort" not in shown["runtime"]["kubernetes"]["injector"]["sidecarContainer"]
    assert shown["metrics"]["mesh"]["minResyncTimeout"] == "0s"
    assert shown["apiServer"]["authn"]["tokens"]["validator"] == {"useSecrets": True, "publicKeys": []}
    assert json.loads(json.dumps(shown)) == shown


def test_a_password_is_never_shown_not_even_in_an_error() -> None:
    now = settings.load("", {**HOME, "KUMA_STORE_POSTGRES_PASSWORD": "hunter2"}).settings
    assert now.store.postgres.password == "hunter2"
    assert "hunter2" not in json.dumps(now.as_config())


def test_every_environment_name_is_used_once() -> None:
    names: list[str] = []

    def collect(section: object, prefix: str) -> None:
        for each in settings_fields.declared(type(section), prefix):  # type: ignore[arg-type]
            if each.is_section:
                collect(getattr(section, each.attribute), each.env)
            elif each.env:
                names.append(each.env)

    collect(settings.Settings(), settings.PREFIX)
    assert len(names) == len(set(names)) > 300
    assert all(name.startswith("KUMA_") and name == name.upper() for name in names)
