"""Rules of MeshPassthrough that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshpassthrough import model
from kuma.resources import codec
from tests.kit import rules

AT = "spec.default.appendMatch"


def matches(*found: str) -> str:
    return f"{{default: {{appendMatch: [{', '.join(found)}]}}}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (matches("{type: IP, value: '::1'}", "{type: CIDR, value: 'fd00::/8'}", "{type: CIDR, value: 10.1.2.3/8}"), []),
        (matches("{type: CIDR, value: 10.0.0.0/33}"), [f"{AT}[0].value: provided CIDR has incorrect value"]),
        (
            matches("{type: Domain, value: '*', protocol: tls}"),
            [f"{AT}[0].value: provided DNS has incorrect value, partial wildcard is currently not supported"],
        ),
        (matches("{type: Domain, value: '*.a.com', protocol: tls}"), []),
        (matches("{type: Domain, value: a.com}"), [f"{AT}[0].protocol: protocol tcp is not supported for a domain"]),
        (
            matches("{type: IP, value: 1.1.1.1, port: 1, protocol: tls}", "{type: IP, value: 1.1.1.2, port: 1}"),
            [],
        ),
        (
            matches("{type: IP, value: 1.1.1.1, port: 1}", "{type: IP, value: 1.1.1.1, port: 1, protocol: tcp}"),
            [f"{AT}[1].value: value 1.1.1.1 is already defiend for this port and protocol"],
        ),
        (
            "{targetRef: {kind: MeshGateway, name: a}}",
            ["spec.targetRef.kind: value 'MeshGateway' is not supported"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_the_protocol_is_stored() -> None:
    document = json.loads(codec.encode_json(rules.stored(model.KIND, matches("{type: IP, value: 1.1.1.1}"))))
    assert document["spec"]["default"]["appendMatch"] == [{"type": "IP", "value": "1.1.1.1", "protocol": "tcp"}]
