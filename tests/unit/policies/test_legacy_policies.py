"""Rules of the source/destination policies that are easily lost, and that they load without Envoy's messages."""

import subprocess
import sys

import pytest

from kuma.legacy_policies import discovery
from kuma.resources import catalog
from tests.kit import rules

CATALOG = catalog.Catalog(discovery.kinds())
SIDES = "sources: [{match: {kuma.io/service: '*'}}], destinations: [{match: {kuma.io/service: '*'}}]"
HTTP_SIDES = "sources: [{match: {a: b}}], destinations: [{match: {kuma.io/protocol: http}}]"
MATCH = "match: {path: {prefix: /a}}"
BACKEND = "destination: {kuma.io/service: a}"
TIMES = "interval: 1s, timeout: 1s, unhealthyThreshold: 1, healthyThreshold: 1"
GATEWAY = "selectors: [{match: {kuma.io/service: edge}}]"
ROUTE = "matches: [{path: {value: /}}], backends: [{destination: {kuma.io/service: a}}]"
CHOSEN = "selectors: [{match: {a: b}}]"
OWN = "parameters: [{name: service, tagKey: kuma.io/service}]"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("CircuitBreaker", f"{{{SIDES}}}", ["conf: must have at least one of the detector or threshold configured"]),
        (
            "CircuitBreaker",
            f"{{{SIDES}, conf: {{detectors: {{totalErrors: {{}}}}, thresholds: {{}}}}}}",
            ["conf.thresholds: can't be empty"],
        ),
        (
            "FaultInjection",
            f"{{{HTTP_SIDES}, conf: {{delay: {{}}, abort: {{percentage: NaN, httpStatus: 99}}}}}}",
            [
                "conf.delay.percentage: cannot be empty",
                "conf.delay.value: cannot be empty",
                "conf.abort.percentage: has to be in [0.0 - 100.0] range",
                "conf.abort.httpStatus: http status code is incorrect",
            ],
        ),
        (
            "FaultInjection",
            "{sources: [{match: {a: b}}], destinations: [{match: {a: b}}], conf: {delay: {percentage: 1, value: 1s}}}",
            ["destinations[0].match: protocol must be specified"],
        ),
        ("HealthCheck", f"{{{SIDES}, conf: {{{TIMES}, tcp: {{}}}}}}", []),
        (
            "HealthCheck",
            f"{{{SIDES}, conf: {{{TIMES}, noTrafficInterval: 315576000001s}}}}",
            ["conf.noTrafficInterval: must have a valid value"],
        ),
        ("RateLimit", f"{{{SIDES}}}", ["conf: must have conf"]),
        (
            "Retry",
            f"{{{SIDES}, conf: {{http: {{backOff: {{baseInterval: 1s, maxInterval: 0s}}}}}}}}",
            ["conf.http.backOff.maxInterval: has to be greater than 0 when defined"],
        ),
        (
            "Timeout",
            f"{{{SIDES}, conf: {{tcp: {{idleTimeout: 0s}}, http: {{streamIdleTimeout: 1s}}}}}}",
            [
                "conf.tcp.idleTimeout: has to be greater than 0",
                "conf.http: at least one timeout in section has to be defined",
            ],
        ),
        (
            "TrafficRoute",
            f"{{{SIDES}, conf: {{{BACKEND}, http: [{{{MATCH}, modify: {{path: {{}}, host: {{fromPath: {{}}}}, "
            "requestHeaders: {add: [{name: Host, value: x}], remove: [{name: ':path'}]}}}]}}",
            [
                'conf.http[0].modify.path: either "rewritePrefix" or "regex" has to be set',
                "conf.http[0].modify.host.fromPath.pattern: cannot be empty",
                "conf.http[0].modify.host.fromPath.substitution: cannot be empty",
                "conf.http[0].modify.requestHeaders.add[0].name: "
                "host header and HTTP/2 pseudo-headers are not allowed to be modified",
                "conf.http[0].modify.requestHeaders.remove[0].name: "
                "host header and HTTP/2 pseudo-headers are not allowed to be modified",
                'conf.http[0]: requires either "destination" or "split"',
            ],
        ),
        ("TrafficRoute", f"{{{SIDES}, conf: {{destination: {{kuma.io/service: '*'}}}}}}", []),
        ("MeshGatewayRoute", f"{{{GATEWAY}, conf: {{tcp: {{}}}}}}", []),
        (
            "MeshGatewayRoute",
            f"{{{GATEWAY}, conf: {{http: {{rules: [{{{ROUTE}, filters: [{{rewrite: {{hostToBackendHostname: true}}}}, "
            "{requestHeader: {set: [{name: Host, value: x}]}}, {rewrite: {replacePrefixMatch: /}}]}]}}}",
            [
                "conf.http.rules[0].filters[0].request_header.set[0]: "
                "cannot modify 'Host' header, when route has set 'rewrite.host_to_backend_hostname' option",
                "conf.http.rules[0].filters[1].rewrite.replacePrefixMatch: "
                "cannot be used without a match on path prefix",
            ],
        ),
        (
            "MeshGatewayRoute",
            f"{{{GATEWAY}, conf: {{http: {{rules: [{{{ROUTE}, filters: [{{redirect: {{statusCode: 309}}}}]}}]}}}}}}",
            [
                "conf.http.rules[0].filters[0].redirect.status_code: must be in the range [300, 308]",
                "conf.http.rules[0].backends: must be empty when using redirect filters",
            ],
        ),
        (
            "MeshGatewayRoute",
            f"{{{GATEWAY}, conf: {{http: {{rules: [{{{ROUTE}, filters: [{{redirect: {{}}}}, {{mirror: {{}}}}]}}]}}}}}}",
            ["conf.http.rules[0].filters: redirects cannot be used with other filters"],
        ),
        ("VirtualOutbound", f"{{{CHOSEN}}}", ["conf: has to be defined"]),
        (
            "VirtualOutbound",
            f"{{{CHOSEN}, conf: {{host: '{{{{.nobody}}}}.mesh', port: '{{{{.service}}}}00000', {OWN}}}}}",
            [
                'conf.host: template pre evaluation failed with error="evaluation of template with parameters '
                'didn\'t return a valid dns name result=\\"<no value>.mesh\\""',
                'conf.port: template pre evaluation failed with error="evaluation of template returned a port '
                'outside of the range [1..65535] result=100000"',
            ],
        ),
        (
            "ProxyTemplate",
            "{conf: {imports: [nope], modifications: [{cluster: {operation: add, value: 'type: STATIC'}}, "
            "{virtualHost: {operation: nope, value: '{'}}, {httpFilter: {operation: remove, value: '{'}}]}}",
            [
                "conf.imports[0]: profile not found. Available profiles: "
                "default-proxy,egress-proxy,gateway-proxy,ingress-proxy",
                "conf.modifications[0].cluster.value: native Envoy resource is not valid: "
                "invalid Cluster.Name: value length must be at least 1 runes",
                "conf.modifications[1].virtualHost.operation: invalid operation. Available operations: "
                '"add", "patch", "remove"',
            ],
        ),
    ],
)
def test_rules(kind: str, spec: str, expected: list[str]) -> None:
    found = CATALOG.find(kind)
    assert found is not None
    assert rules.violations(found, spec) == expected


def test_kinds_load_without_the_messages_of_envoy() -> None:
    program = (
        "import sys; from kuma.legacy_policies import discovery; discovery.kinds(); "
        "print([name for name in sys.modules if name.startswith(('google.protobuf', 'envoy'))])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
