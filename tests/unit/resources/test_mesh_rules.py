"""Rules and defaults of a Mesh, one row a rule."""

import json
from typing import Any

import pytest

from kuma.resources import codec
from kuma.resources.kinds import mesh
from kuma.resources.rules import mesh as rules

FILE = {"name": "f", "type": "file", "conf": {"path": "/tmp/log"}}
ZIPKIN = {"name": "z", "type": "zipkin", "conf": {"url": "http://zipkin.local:9411/v2"}}
PROM = {"name": "p", "type": "prometheus"}
USED = '"{}" name is already used for another backend'


def decode(document: dict[str, Any]) -> Any:
    return codec.decode(mesh.KIND, {"type": "Mesh", "name": "default", **document})


def logging(*backends: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"logging": {"backends": list(backends), **more}}


def tracing(*backends: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"tracing": {"backends": list(backends), **more}}


def prometheus(**conf: Any) -> dict[str, Any]:
    return {"metrics": {"backends": [{**PROM, "conf": conf}]}}


def rotation(expiration: str | None) -> dict[str, Any]:
    dp_cert = {} if expiration is None else {"rotation": {"expiration": expiration}}
    return {"mtls": {"backends": [{"name": "ca", "type": "builtin", "dpCert": dp_cert}]}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"mtls": {"backends": [{"name": "a"}, {"name": "a"}]}}, [("mtls.backends", "cannot have more than 1 backends"), ("mtls.backends[1].name", USED.format("a"))]),
        ({"mtls": {"enabledBackend": "x"}}, [("mtls.enabledBackend", "has to be set to one of the backends in the mesh")]),
        (rotation("1 day"), [("mtls.dpcert.rotation.expiration", "has to be a valid format")]),
        (rotation(None), [("mtls.dpcert.rotation.expiration", "has to be a valid format")]),
        (rotation("1d"), []),
        (logging({**FILE, "name": ""}), [("logging.backends[0].name", "cannot be empty")]),
        (logging(FILE, FILE), [("logging.backends[1].name", USED.format("f"))]),
        (logging({"name": "f", "type": "x"}), [("logging.backends[0].type", 'unknown backend type. Available backends: "tcp", "file"')]),
        (logging({"name": "f", "type": "file"}), [("logging.backends[0].config.path", "cannot be empty")]),
        (logging({"name": "f", "type": "file", "conf": {"path": 5}}), [("logging.backends[0].config", "could not parse config: json: cannot unmarshal number into Go value of type string")]),
        (logging({"name": "t", "type": "tcp"}), [("logging.backends[0].config.address", "cannot be empty")]),
        (logging({"name": "t", "type": "tcp", "conf": {"address": "host"}}), [("logging.backends[0].config.address", "has to be in format of HOST:PORT")]),
        (logging({"name": "t", "type": "tcp", "conf": {"address": ":80"}}), [("logging.backends[0].config.address", "has to be in format of HOST:PORT")]),
        (logging(FILE, defaultBackend="x"), [("logging.defaultBackend", "has to be set to one of the logging backend in mesh")]),
        (tracing({**ZIPKIN, "name": ""}), [("tracing.backends[0].name", "cannot be empty")]),
        (tracing({**ZIPKIN, "sampling": -1}), [("tracing.backends[0].sampling", "has to be in [0.0 - 100.0] range")]),
        (tracing({**ZIPKIN, "sampling": 100.1}), [("tracing.backends[0].sampling", "has to be in [0.0 - 100.0] range")]),
        (tracing({**ZIPKIN, "conf": {}}), [("tracing.backends[0].config.url", "cannot be empty")]),
        (tracing({**ZIPKIN, "conf": {"url": "wrong"}}), [("tracing.backends[0].config.url", "invalid URL")]),
        (tracing({**ZIPKIN, "conf": {"url": "http://x/y"}}), [("tracing.backends[0].config.url", "port has to be explicitly specified")]),
        (tracing({**ZIPKIN, "conf": {"url": "http://x:1/y", "apiVersion": "v"}}), [("tracing.backends[0].config.apiVersion", "has invalid value. Allowed values: httpJsonV1, httpJson, httpProto")]),
        (tracing({"name": "d", "type": "datadog"}), [("tracing.backends[0].config.address", "cannot be empty"), ("tracing.backends[0].config.port", "port must be in the range [1, 65535]")]),
        (tracing({"name": "d", "type": "x"}), [("tracing.backends[0].type", 'unknown backend type. Available backends: "zipkin", "datadog"')]),
        (tracing(ZIPKIN, defaultBackend="x"), [("tracing.defaultBackend", "has to be set to one of the tracing backend in mesh")]),
        ({"metrics": {"backends": [PROM, PROM]}}, [("metrics.backends[1].name", USED.format("p"))]),
        ({"metrics": {"backends": [{"name": "p", "type": "x"}]}}, [("metrics.backends[0].type", 'unknown backend type. Available backends: "prometheus"')]),
        ({"metrics": {"backends": [PROM], "enabledBackend": "x"}}, [("metrics.enabledBackend", "has to be set to one of the backends in the mesh")]),
        (prometheus(port="x"), [("metrics.backends[0].conf", "could not parse config: invalid character 'x' looking for beginning of value")]),
        (prometheus(skipMTLS=True, tls={"mode": "activeMTLSBackend"}), [("metrics.backends[0].conf", "skipMTLS and tls configuration cannot be defined together")]),
        (prometheus(skipMTLS=True, tls={"mode": "disabled"}), []),
        (prometheus(skipMTLS=False, tls={}), []),
        (prometheus(envoy={"filterRegex": "a[0-9"}), [("metrics.backends[0].conf.envoy.filterRegex", "provided regexp isn't correct: error parsing regexp: missing closing ]: `[0-9`")]),
        (prometheus(envoy={"filterRegex": "(a"}), [("metrics.backends[0].conf.envoy.filterRegex", "provided regexp isn't correct: error parsing regexp: missing closing ): `(a`")]),
        (prometheus(envoy={"filterRegex": "*a"}), [("metrics.backends[0].conf.envoy.filterRegex", "provided regexp isn't correct: error parsing regexp: missing argument to repetition operator: `*`")]),
        (prometheus(envoy={"filterRegex": "a(?=b)"}), [("metrics.backends[0].conf.envoy.filterRegex", "provided regexp isn't correct: error parsing regexp: invalid or unsupported Perl syntax: `(?=`")]),
        (prometheus(aggregate=[{"name": "a"}, {"name": "a"}]), [("metrics.backends[0].conf.aggregate[1].name", "duplicate entry: a, values have to be unique")]),
        ({"constraints": {"dataplaneProxy": {"requirements": [{"tags": {}}]}}}, [("constraints.dataplaneProxy.requirements[0].tags", "must have at least one tag")]),
        ({"constraints": {"dataplaneProxy": {"restrictions": [{"tags": {"a": ""}}]}}}, [('constraints.dataplaneProxy.restrictions[0].tags["a"]', "tag value must be non-empty")]),
        ({"routing": {"zoneEgress": True}}, [("mtls", "has to be set when zoneEgress enabled")]),
        ({}, []),
    ],
)  # fmt: skip
def test_rules(document: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(each.field, each.message) for each in mesh.KIND.validate(decode(document))] == expected


DEFAULTS = {"port": 5670, "path": "/metrics", "tags": {"kuma.io/service": "dataplane-metrics"}}


@pytest.mark.parametrize(
    ("conf", "stored"),
    [
        ({}, {**DEFAULTS, "tls": {}}),
        ({"port": 1, "path": "/x"}, {**DEFAULTS, "port": 1, "path": "/x", "tls": {}}),
        ({"skipMTLS": True}, {**DEFAULTS, "skipMTLS": True, "tls": {"mode": "disabled"}}),
        ({"skipMTLS": True, "tls": {"mode": "providedTLS"}}, {**DEFAULTS, "tls": {"mode": "providedTLS"}}),
    ],
)
def test_defaults_of_prometheus(conf: dict[str, Any], stored: dict[str, Any]) -> None:
    spec = rules.with_defaults(decode(prometheus(**conf)).spec)
    assert json.loads(json.dumps(spec.metrics.backends[0].conf)) == stored


def test_what_a_mesh_says_of_itself() -> None:
    spec = decode({"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}}).spec
    assert spec.enabled_ca.name == "ca"
    assert spec.is_passthrough_allowed
    off = decode({"mtls": {"backends": [{"name": "ca"}]}, "networking": {"outbound": {"passthrough": False}}}).spec
    assert off.enabled_ca is None
    assert not off.is_passthrough_allowed
