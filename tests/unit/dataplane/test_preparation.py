"""What is made of settings before the first word to the control plane."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from kuma.apps.dataplane import preparation
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError


def read(text: str, *variables: str) -> dict[str, object]:
    with ExitStack() as resources:
        brought = preparation.read_dataplane(
            conf.load_settings({"resource": text, "variables": list(variables)}, {}), resources
        )
    assert brought is not None
    return dict(brought.document)


def test_a_definition_without_a_mesh_is_of_the_default_one() -> None:
    assert read("{type: Dataplane, name: web}") == {"type": "Dataplane", "name": "web", "mesh": "default"}
    assert read("{type: Dataplane, name: web, mesh: m}")["mesh"] == "m"


def test_a_mesh_that_a_variable_should_have_named_is_missed() -> None:
    with pytest.raises(AgentError, match=r"has no mesh, and its template variables m have no value"):
        read("{type: Dataplane, name: web, mesh: '{{ m }}'}")


def test_other_variables_without_a_value_are_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    read("type: Dataplane\nname: '{{ name }}'\nmesh: '{{ zone.x }}default'", "name=web")

    assert [each.getMessage() for each in caplog.records] == [
        "variables of the Dataplane definition have no value: zone.x; give them with --dataplane-var zone.x=VALUE"
    ]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Kuma's default port for readiness, as if another agent had it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        rows = [replace(row, default=port) if row.field == "readiness_port" else row for row in conf.ROWS]
        monkeypatch.setattr(conf, "ROWS", tuple(rows))
        yield port


def test_a_second_agent_takes_another_port_for_readiness(
    taken: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    caplog.set_level(logging.INFO, logger="kuma-dp")
    with preparation.readiness_listener(conf.load_settings({"name": "web"}, {}), {}) as listener:
        assert listener.getsockname()[1] not in (taken, 0)
    assert f"port {taken} is taken" in caplog.text
    assert "KUMA_READINESS_PORT" in caplog.text


@pytest.mark.parametrize(("chosen", "environ"), [(True, {}), (False, {"POD_NAME": "web"})])
def test_a_port_where_somebody_asks_is_not_exchanged(taken: int, chosen: bool, environ: dict[str, str]) -> None:
    settings = conf.load_settings({"name": "web"}, {"KUMA_READINESS_PORT": str(taken)} if chosen else {})
    with pytest.raises(AgentError, match=rf"could not report readiness on .*:{taken}: .* KUMA_READINESS_PORT"):
        preparation.readiness_listener(settings, environ)
