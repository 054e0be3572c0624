"""Finding Envoy, reading its version, building its command line, finding its admin API."""

import copy
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.supervised import envoy


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_path_wins_over_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = executable(tmp_path / "envoy", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert envoy.find_envoy("envoy") == str(own)


def test_the_packages_script_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "envoy", "#!/usr/bin/env python3\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert envoy.find_envoy("envoy").endswith("/envoy/_bin/envoy")


@pytest.mark.parametrize("name", ["/no/such/envoy", "no-such-envoy"])
def test_a_missing_executable(name: str) -> None:
    with pytest.raises(AgentError, match="could not find executable binary"):
        envoy.find_envoy(name)


def test_the_packaged_envoy_tells_its_version() -> None:
    version = envoy.read_version(envoy.find_envoy("envoy"))

    assert version.is_compatible
    assert version.build.count("/") == 4


def test_something_else_is_not_envoy(tmp_path: Path) -> None:
    other = executable(tmp_path / "x", "#!/bin/sh\necho hello\n")

    with pytest.raises(AgentError, match="it says 'hello'"):
        envoy.read_version(str(other))
    with pytest.raises(AgentError, match="could not read the version of /absent"):
        envoy.read_version("/absent")


@pytest.mark.parametrize(
    ("component", "concurrency", "tail"),
    [
        ("", 0, ["--cpuset-threads"]),
        ("", 2, ["--concurrency", "2"]),
        ("upstream:debug", 0, ["--component-log-level", "upstream:debug", "--cpuset-threads"]),
    ],
)
def test_command_line(component: str, concurrency: int, tail: list[str]) -> None:
    made = envoy.arguments("/envoy", "/w/bootstrap.yaml", 30, "info", component, concurrency)

    head = ["/envoy", "--config-path", "/w/bootstrap.yaml", "--drain-time-s", "30", "--drain-strategy", "immediate"]
    assert made == [*head, "--disable-hot-restart", "--log-level", "info", *tail]


@pytest.mark.parametrize(
    ("config", "admin"),
    [
        (b"node: {}", envoy.Admin()),
        (b"admin: {address: {pipe: {path: /w/a.sock}}}", envoy.Admin(socket="/w/a.sock")),
        (
            b"admin: {address: {socketAddress: {address: 127.0.0.1, portValue: 9901}}}",
            envoy.Admin(address="127.0.0.1:9901"),
        ),
        (b"admin: {address: {socketAddress: {address: '::1', portValue: 1}}}", envoy.Admin(address="[::1]:1")),
    ],
)
def test_admin_address(config: bytes, admin: envoy.Admin) -> None:
    assert envoy.admin_of(envoy.read_config(config)) == admin


def test_envoy_looks_for_a_lost_control_plane_soon() -> None:
    config = {"dynamicResources": {"adsConfig": {"grpcServices": [{"envoyGrpc": {"clusterName": "ads_cluster"}}]}}}
    envoy.retry_soon(config)
    back_off = {"retryBackOff": {"baseInterval": "0.5s", "maxInterval": "5s"}}
    services = config["dynamicResources"]["adsConfig"]["grpcServices"]
    assert services == [{"envoyGrpc": {"clusterName": "ads_cluster", "retryPolicy": back_off}}]


@pytest.mark.parametrize("chosen", [{"googleGrpc": {}}, {"envoyGrpc": {"retryPolicy": {"numRetries": 1}}}])
def test_other_retries_stay(chosen: dict[str, Any]) -> None:
    config = {"dynamicResources": {"adsConfig": {"grpcServices": [copy.deepcopy(chosen)]}}}
    envoy.retry_soon(config)
    assert config["dynamicResources"]["adsConfig"]["grpcServices"] == [chosen]


@pytest.mark.parametrize("config", [b"a: [b", b"- 1", b"admin: {address: {pipe: {}}}"])
def test_nonsense_instead_of_a_configuration(config: bytes) -> None:
    with pytest.raises(AgentError, match="no Envoy configuration"):
        envoy.admin_of(envoy.read_config(config))
