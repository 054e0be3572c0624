"""What is made of settings before the first word to the control plane."""

import logging
from contextlib import ExitStack

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
