"""Rules of ExternalService and MeshGateway that are easily lost."""

import pytest

from kuma.resources.kinds import externalservice, meshgateway
from tests.kit import rules

ADDRESS = "networking.address"
TAGS = "tags: {kuma.io/service: outer}"
CHOSEN = "selectors: [{match: {kuma.io/service: edge}}]"
LISTENER = "conf.listeners[0]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"{{networking: {{address: '[::1]:80'}}, {TAGS}}}", []),
        (
            f"{{networking: {{address: example.com}}, {TAGS}}}",
            [
                f"{ADDRESS}: unable to parse address",
                f"{ADDRESS}: address has to be a valid IP address or a domain name",
                f"{ADDRESS}: unable to parse port in address",
                f"{ADDRESS}: port must be in the range [1, 65535]",
            ],
        ),
        (
            f"{{networking: {{address: 'a.b:1', tls: {{caCert: {{}}, clientKey: {{inline: ''}}}}}}, {TAGS}}}",
            [
                "networking.tls.caCert: data source cannot be empty",
                "networking.tls.clientKey: data source cannot be empty",
            ],
        ),
        (
            "{networking: {address: 'a.b:1'}, tags: {kuma.io/protocol: gopher}}",
            [
                'tags["kuma.io/protocol"]: tag "kuma.io/protocol" has an invalid value "gopher". '
                "Allowed values: grpc, http, http2, kafka, tcp",
                'tags: mandatory tag "kuma.io/service" is missing',
            ],
        ),
    ],
)
def test_external_services(spec: str, expected: list[str]) -> None:
    assert rules.violations(externalservice.KIND, spec) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"{{{CHOSEN}, conf: {{listeners: [{{port: 80, protocol: HTTP, tags: {{port: http/80}}}}]}}}}", []),
        (f"{{{CHOSEN}}}", ["conf: cannot be empty"]),
        (f"{{{CHOSEN}, conf: {{}}}}", ["conf.listeners: cannot be empty"]),
        (
            "{selectors: [{match: {kuma.io/service: a}}, {match: {kuma.io/service: b}}], "
            "conf: {listeners: [{port: 80, protocol: HTTP, crossMesh: true, tls: {mode: TERMINATE}}]}}",
            ["selectors: there can be at most one selector", f"{LISTENER}.tls: must be empty with crossMesh"],
        ),
        (
            f"{{{CHOSEN}, conf: {{listeners: [{{port: 80, protocol: HTTP, hostname: a b, tags: {{kuma.io/zone: z}}}}]}}}}",
            [
                f"{LISTENER}.hostname: invalid hostname",
                f'{LISTENER}.tags["kuma.io/zone"]: tag name must not be "kuma.io/zone"',
            ],
        ),
        (
            f"{{{CHOSEN}, conf: {{listeners: [{{port: 443, protocol: HTTPS}}, {{port: 443, protocol: TLS, hostname: a.b, "
            "tls: {mode: TERMINATE, certificates: [{secret: a}, {secret: b}, {secret: c}]}}]}}",
            [
                f"{LISTENER}.tls: cannot be empty",
                "conf.listeners[1].tls.certificates: cannot have more than 2 certificates",
                f"{LISTENER}: protocol conflicts with other listeners on this port",
                "conf.listeners[1]: protocol conflicts with other listeners on this port",
            ],
        ),
        (
            f"{{{CHOSEN}, conf: {{listeners: [{{port: 80, protocol: HTTP, resources: {{connectionLimit: 1}}}}, "
            "{port: 80, protocol: HTTP, hostname: a.b, resources: {connectionLimit: 2}}, "
            "{port: 80, protocol: HTTP, hostname: '*'}]}}",
            [
                f"{LISTENER}: multiple listeners for hostname on this port",
                "conf.listeners[2]: multiple listeners for hostname on this port",
                f"{LISTENER}.resources.connectionLimit: conflicting values for this port",
                "conf.listeners[1].resources.connectionLimit: conflicting values for this port",
            ],
        ),
    ],
)
def test_gateways(spec: str, expected: list[str]) -> None:
    assert rules.violations(meshgateway.KIND, spec) == expected


def test_keys_are_not_shown() -> None:
    spec = "{networking: {address: 'a.b:1', tls: {clientKey: {inlineString: SECRET}}}, tags: {kuma.io/service: outer}}"
    assert "SECRET" not in repr(rules.stored(externalservice.KIND, spec))
