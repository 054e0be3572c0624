"""What is set without effect is named, with the nearest setting there is."""

import json
import os
from pathlib import Path

import pytest

from kuma.apps.control_plane.settings import tree as settings


def unknown(folder: Path, text: str) -> list[str]:
    path = folder / "cp.yaml"
    path.write_text(text)
    return [each.removeprefix("unknown key ") for each in settings.resolve(str(path), {}).unknown]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiServer: {http: {port: 1}}", []),
        ("APISERVER: {HTTP: {PORT: 1}}", []),
        ("apiServer:", []),
        ("apiServer: {http: {prot: 1}}", ['"apiServer.http.prot" has no effect, did you mean "apiServer.http.port"?']),
        ("stor: {type: memory}", ['"stor" has no effect, did you mean "store"?']),
        ("42: {a: b}", ['"42" has no effect']),
        (
            "dpServer: {apiServer: {}}\nexperimental: {cniApp: x}",
            ['"dpServer.apiServer" has no effect', '"experimental.cniApp" has no effect'],
        ),
        (
            "dpServer: {authn: {dpProxy: {dpToken: {validator: {publicKeys: [{kid: a, key: b}, {kid: c, keyFile: /d, kee: e}]}}}}}",
            [
                '"dpServer.authn.dpProxy.dpToken.validator.publicKeys[1].kee" has no effect, '
                'did you mean "dpServer.authn.dpProxy.dpToken.validator.publicKeys[1].key"?'
            ],
        ),
        ("dpServer: {authn: {dpProxy: {dpToken: {validator: {publicKeys: [{kid: a, mesh: b, key: c}]}}}}}", []),
        ("xdsServer: {tolerations: {a: b}}", ['"xdsServer.tolerations" has no effect']),
    ],
)
def test_keys(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert unknown(tmp_path, text) == expected


def test_keys_of_maps_are_the_users(tmp_path: Path) -> None:
    assert unknown(tmp_path, "runtime: {kubernetes: {injector: {sidecarContainer: {envVars: {ANY: x}}}}}") == []


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("KUMA_API_SERVER_HTTP_PROT", "1", "KUMA_API_SERVER_HTTP_PORT"),
        ("KUMA_STORE_TYP", "memory", "KUMA_STORE_TYPE"),
        ("KUMA_DNS_SERVER_CDIR", "1.0.0.0/8", "KUMA_DNS_SERVER_CIDR"),
        ("KUMA_WHATEVER", "x", ""),
        ("KUMA_ZZ_SERVICE_PORT_ZZZZZ", "not an address", ""),
    ],
)
def test_variables(name: str, value: str, near: str) -> None:
    hint = f', did you mean "{near}"?' if near else ""
    assert settings.resolve("", {name: value}).unknown == (
        f'unknown environment variable "{name}" has no effect{hint}',
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/bin"),
        ("KUMACTL_TOKEN", "x"),
        ("KUMA_STORE_TYPE", "memory"),
        ("KUMA_METRICS_MESH_FULL_RESYNC_TIMEOUT", "1s"),
        ("KUMA_DATAPLANE_NAME", "web"),
        ("KUMA_DNS_CORE_DNS_PORT", "15053"),
        ("KUMA_CP_SERVICE_HOST", "10.0.0.1"),
        ("KUMA_CP_SERVICE_PORT_HTTP_API", "5681"),
        ("KUMA_CP_PORT_5681_TCP", "tcp://10.0.0.1:5681"),
        ("KUMA_CP_PORT_5681_TCP_PROTO", "tcp"),
    ],
)
def test_variables_of_others_are_left_alone(name: str, value: str) -> None:
    assert settings.resolve("", {name: value}).unknown == ()


def test_every_key_and_variable_of_kuma_is_known() -> None:
    corpus = Path(os.environ.get("KUMA_CORPUS", "../shared/corpus")) / "config_loader"
    if not corpus.is_dir():
        pytest.skip("the conformance corpus is not here: set KUMA_CORPUS")
    assert settings.resolve(str(corpus / "kuma-cp.defaults.yaml"), {}).unknown == ()
    assert settings.resolve("", json.loads((corpus / "env.json").read_text())).unknown == ()
