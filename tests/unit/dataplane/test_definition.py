"""Dataplane templates, and the definition that the one-line flags spell."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import definition, enrolment, host, redirection


@pytest.mark.parametrize(
    ("variables", "nested"),
    [
        ([], {}),
        ([("a", "1")], {"a": "1"}),
        ([("a.b", "1"), ("a.c", "2")], {"a": {"b": "1", "c": "2"}}),
        ([("a", "1"), ("a.b", "2")], {"a": {"b": "2"}}),
        ([("a", "1"), ("a", "2")], {"a": "2"}),
    ],
)
def test_nested_variables(variables: list[tuple[str, str]], nested: dict[str, Any]) -> None:
    assert definition.nest_variables(variables) == nested


@pytest.mark.parametrize(
    ("template", "variables", "document"),
    [
        ("type: Dataplane\nname: {{ name }}", [("name", "web")], {"type": "Dataplane", "name": "web"}),
        (
            "name: '{{ web.name }}'\nport: {{ web.port }}",
            [("web.name", "w"), ("web.port", "1")],
            {"name": "w", "port": 1},
        ),
        ('{"name": "plain"}', [], {"name": "plain"}),
        ("{name: flow}", [], {"name": "flow"}),
        ("name: x{{ absent }}", [], {"name": "x"}),
    ],
)
def test_rendering(template: str, variables: list[tuple[str, str]], document: dict[str, Any]) -> None:
    assert definition.render_definition(template, variables).document == document


@pytest.mark.parametrize(
    ("template", "variables", "missing"),
    [
        ("{{ a }} {{{b}}} {{&c}} {{#d}}{{/d}} {{!e}}", [], ["a", "b", "c"]),
        ("{{ a.b }} {{ a.c }} {{ a.b }}", [("a.c", "1")], ["a.b"]),
        ("{{ a.b }}", [("a", "1")], ["a.b"]),
        ("{{ a }}", [("a", "")], []),
    ],
)
def test_missing_variables(template: str, variables: list[tuple[str, str]], missing: list[str]) -> None:
    assert definition.missing_variables(template, variables) == missing


@pytest.mark.parametrize(("template", "text"), [("a: [b", "failed to parse"), ("- 1", "not an object"), ("", "not an")])
def test_unreadable_definitions(template: str, text: str) -> None:
    with pytest.raises(AgentError, match=text):
        definition.render_definition(template, [])


def test_another_kind_is_refused() -> None:
    with pytest.raises(AgentError, match='invalid proxy resource type "Mesh", expected Dataplane'):
        definition.check_kind(definition.Definition({"type": "Mesh"}), "Dataplane")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"absent\.yaml"):
        definition.read_text("", str(tmp_path / "absent.yaml"))


def settings(**flags: Any) -> conf.Settings:
    return conf.load_settings({"service": "web", "port": "8080", "address": "127.0.0.1", **flags}, {})


def test_one_line_definition() -> None:
    chosen = {"outbounds": ["api=10001"], "protocol": "http", "tags": ["version=v1"], "labels": ["app=web,team=a"]}
    enrolled = enrolment.enrol(settings(**chosen))

    document = json.loads(enrolled.definition.to_json())
    inbound, admin = (keeper.getsockname()[1] for keeper in enrolled.keepers)
    assert document == {
        "type": "Dataplane",
        "mesh": "default",
        "name": f"web-{host.host_label()}-8080",
        "labels": {"app": "web", "team": "a"},
        "networking": {
            "address": "127.0.0.1",
            "admin": {"port": admin},
            "inbound": [
                {
                    "port": inbound,
                    "servicePort": 8080,
                    "serviceAddress": "127.0.0.1",
                    "tags": {"kuma.io/service": "web", "version": "v1", "kuma.io/protocol": "http"},
                }
            ],
            "outbound": [{"address": "127.0.0.1", "port": 10001, "tags": {"kuma.io/service": "api"}}],
        },
    }
    assert inbound >= 15100


def test_a_service_whose_name_is_none_for_a_resource_has_a_dataplane_all_the_same() -> None:
    document = json.loads(enrolment.enrol(settings(service="Web_Shop")).definition.to_json())
    assert document["name"] == f"web-shop-{host.host_label()}-8080"
    assert document["networking"]["inbound"][0]["tags"]["kuma.io/service"] == "Web_Shop"


def test_agents_on_one_machine_get_different_ports() -> None:
    first, second = enrolment.enrol(settings()), enrolment.enrol(settings())

    taken = {keeper.getsockname()[1] for enrolled in (first, second) for keeper in enrolled.keepers}
    assert len(taken) == 4


def test_envoy_may_listen_on_a_reserved_port() -> None:
    keeper = host.reserve_port("127.0.0.1", 0)
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(keeper.getsockname())
        listener.listen()
        client.connect(keeper.getsockname())
        listener.accept()[0].close()
    keeper.close()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"port": "0"}, "--service needs --port"),
        ({"resource": "{}"}, "cannot be used together"),
        ({"proxy_type": "egress"}, "cannot be used with --proxy-type"),
        ({"outbounds": ["api=x"]}, '"x" is not a port'),
        ({"outbounds": ["api=70000"]}, '"70000" is not a port'),
        ({"address": "192.0.2.1"}, "could not listen on 192.0.2.1"),
    ],
)
def test_one_line_refusals(flags: dict[str, Any], text: str) -> None:
    with pytest.raises(AgentError) as refused:
        enrolment.enrol(settings(**flags))
    assert text in str(refused.value)


def test_a_mesh_on_one_machine_leaves_the_admin_address_free() -> None:
    assert host.address_facing("localhost", 5678) in ("127.0.0.2", "127.0.0.1")


def test_redirection_files_are_laid_over_the_default(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("ipFamilyMode: ipv4\nredirect: {inbound: {port: 1}, vnet: {networks: [a]}}")
    second.write_text("redirect: {inbound: {port: 2}}\nverbose: true")

    assert redirection.read_redirection([str(first), str(second)], True, 15054) == {
        "ipFamilyMode": "ipv4",
        "redirect": {
            "inbound": {"enabled": True, "port": 2},
            "outbound": {"enabled": True, "port": 15001},
            "dns": {"enabled": True, "port": 15054},
            "vnet": {"networks": ["a"]},
        },
    }
