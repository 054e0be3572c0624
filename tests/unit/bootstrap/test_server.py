"""The agents' server: what each request gets, by Kuma's contract. No socket; a shelf of resources as the store."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette

from kuma.base import errors
from kuma.envoy import bootstrap
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.security import certificates
from kuma.servers import agents
from kuma.servers.agents import bootstrap as checks
from tests.kit import asgi

CATALOG = catalogs.Catalog([dataplane.KIND, mesh.KIND])
CERTIFICATE = certificates.self_signed(["localhost", "127.0.0.1"], datetime(2026, 1, 1, tzinfo=UTC)).cert_pem

WEB = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web-1",
    "networking": {
        "address": "192.168.0.1",
        "inbound": [{"port": 8080, "servicePort": 80, "tags": {"kuma.io/service": "web"}}],
    },
}


class Shelf:
    def __init__(self, *documents: Mapping[str, Any]) -> None:
        made = [codec.decode(CATALOG.find(each["type"]), each) for each in documents]  # type: ignore[arg-type]  # known
        self._by_key = {each.key: each for each in made}

    async def get(self, key: res.Key) -> res.Resource[Any]:
        if key not in self._by_key:
            raise errors.NotFound(str(key))
        return self._by_key[key]


class Farewells:
    """Takes goodbyes; knows one token."""

    def __init__(self) -> None:
        self.taken: list[res.Key] = []

        self.definitions: list[str] = []

    async def __call__(self, key: res.Key, credential: str, definition: str) -> None:
        if credential != "right":
            raise errors.Unauthenticated("token is not right")
        self.definitions.append(definition)
        self.taken.append(key)


def build(**changes: Any) -> Starlette:
    shelf = Shelf({"type": "Mesh", "name": "default"}, WEB)
    known = {"resources": shelf, "catalog": CATALOG, "goodbye": Farewells(), "certificate": CERTIFICATE}
    return agents.build(
        agents.Deps(**{"dataplane_token_required": False, "zone_token_required": False, **known, **changes})
    )


async def post(app: Starlette, body: Any, path: str = "/bootstrap", **headers: str) -> asgi.Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await asgi.call(app, "POST", path, content, {"host": "localhost:5678", **headers})


ASK = {"mesh": "default", "name": "web-1", "workdir": "/tmp/w"}


async def test_yaml_is_the_plain_answer() -> None:
    answer = await post(build(), ASK)

    assert (answer.status, answer.headers["content-type"]) == (200, "text/x-yaml")
    config = yaml.safe_load(answer.body)
    assert config["node"]["id"] == "default.web-1"
    assert config["node"]["cluster"] == "web"
    assert config["admin"]["address"]["pipe"] == {"path": "/tmp/w/kuma-envoy-admin.sock", "mode": 0o600}


async def test_equal_requests_get_equal_bytes() -> None:
    app = build()

    assert (await post(app, ASK)).body == (await post(app, ASK)).body


@pytest.mark.parametrize("accept", ["application/json, */*", "*/*"])
async def test_only_the_exact_accept_header_gets_the_envelope(accept: str) -> None:
    answer = await post(build(), ASK, accept=accept)

    assert answer.headers["content-type"] == "text/x-yaml"


async def test_envelope_for_agents() -> None:
    scraped = {
        "type": "Mesh",
        "name": "default",
        "metrics": {
            "enabledBackend": "p",
            "backends": [
                {
                    "name": "p",
                    "type": "prometheus",
                    "conf": {
                        "aggregate": [
                            {"name": "app", "port": 1234, "path": "/stats"},
                            {"name": "other", "port": 1, "enabled": False},
                        ]
                    },
                }
            ],
        },
    }
    own = {**WEB, "metrics": {"type": "prometheus", "conf": {"aggregate": [{"name": "mine", "port": 77}]}}}
    app = build(resources=Shelf(scraped, own), corefile_template=b"template")

    answer = await post(app, ASK, accept="application/json")

    document = json.loads(answer.body)
    assert yaml.safe_load(base64.b64decode(document["bootstrap"]))["node"]["id"] == "default.web-1"
    assert document["kumaSidecarConfiguration"] == {
        "networking": {"corefileTemplate": "dGVtcGxhdGU=", "address": "192.168.0.1"},
        "metrics": {
            "aggregate": [
                {"name": "app", "address": "192.168.0.1", "port": 1234, "path": "/stats"},
                {"name": "mine", "address": "192.168.0.1", "port": 77, "path": "/metrics"},
            ]
        },
    }


def offered(**changes: Any) -> str:
    return json.dumps({**WEB, "name": "new-1", **changes})


async def test_unknown_fields_of_a_definition_are_told() -> None:
    for changes, warnings in (
        ({}, None),
        ({"networkin": {}}, ['unknown field "networkin" was ignored, did you mean "networking"?']),
    ):
        asked = {**ASK, "name": "new-1", "dataplaneResource": offered(**changes)}
        answer = await post(build(), asked, accept="application/json")
        assert json.loads(answer.body).get("warnings") == warnings


BAD_INBOUND = {"address": "192.168.0.1", "inbound": [{"port": 0, "tags": {"kuma.io/service": "web"}}]}
REDIRECTED = {
    "address": "192.168.0.1",
    "outbound": [{"port": 1, "tags": {"kuma.io/service": "api"}}],
    "inbound": [{"port": 8080, "tags": {"kuma.io/service": "web"}}],
    "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001},
}


@pytest.mark.parametrize(
    ("asked", "status", "text"),
    [
        (b"", 400, ""),
        (b"{", 400, ""),
        (b'{"mesh": 1}', 400, ""),
        ({**ASK, "name": "nope"}, 404, ""),
        ({**ASK, "mesh": "none"}, 404, ""),
        ({"proxyType": "egress", "name": "eg"}, 404, ""),
        ({**ASK, "proxyType": "alien"}, 400, 'unknown proxy type "alien"'),
        ({**ASK, "caCert": "no PEM"}, 400, "caCert is not a certificate in PEM form"),
        ({**ASK, "dataplaneResource": "- 1"}, 400, "the proxy resource is not an object"),
        (
            {**ASK, "dataplaneResource": "a: !!bool x"},
            400,
            "the proxy resource is not JSON or YAML: the value does not fit its tag tag:yaml.org,2002:bool\n"
            '  in "<unicode string>", line 1, column 4',
        ),
        (
            {**ASK, "dataplaneResource": "[" * 200_000},
            400,
            'the proxy resource is not JSON or YAML: nested too deeply\n  in "<unicode string>", line 1, column 1001',
        ),
        ({**ASK, "dataplaneResource": "a: &x 1\nb: *x"}, 400, "the proxy resource must not contain YAML aliases"),
        ({**ASK, "dataplaneResource": "type: Mesh"}, 400, 'invalid proxy resource type "Mesh", expected Dataplane'),
        ({**ASK, "dataplaneResource": offered(networking=None)}, 422, "networking: must be defined"),
        (
            {**ASK, "dataplaneResource": offered(name="Web_1")},
            422,
            "name: invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character",
        ),
        ({**ASK, "dataplaneResource": offered(mesh="none")}, 422, 'mesh: mesh "none" does not exist'),
        (
            {**ASK, "dataplaneResource": offered(networking=BAD_INBOUND)},
            422,
            "networking.inbound[0].port: port must be in the range [1, 65535]",
        ),
        (
            {**ASK, "dataplaneResource": offered(networking=REDIRECTED)},
            422,
            "outbound: should be empty since dataplane is in Transparent Proxying mode",
        ),
    ],
)
async def test_refusals(asked: Any, status: int, text: str) -> None:
    answer = await post(build(), asked)

    assert (answer.status, answer.text) == (status, text)
    if not text:
        assert "content-type" not in answer.headers


async def test_an_unreadable_definition_is_the_agents_fault() -> None:
    answer = await post(build(), {**ASK, "dataplaneResource": "{bad"})

    assert answer.status == 400
    assert "not JSON or YAML" in answer.text


async def test_an_offered_definition_need_not_be_stored() -> None:
    answer = await post(build(), {**ASK, "name": "new-1", "dataplaneResource": offered()})

    metadata = yaml.safe_load(answer.body)["node"]["metadata"]
    assert metadata["dataplane.resource"] == offered()


@pytest.mark.parametrize(
    ("required", "asked", "status"),
    [
        ({"dataplane_token_required": True}, ASK, 422),
        ({"dataplane_token_required": True}, {**ASK, "dataplaneToken": "t"}, 200),
        ({"dataplane_token_required": True}, {**ASK, "dataplaneTokenPath": "/t"}, 200),
        ({"zone_token_required": True}, ASK, 200),
        ({"zone_token_required": True}, {"proxyType": "ingress", "name": "in"}, 422),
        ({"zone_token_required": False}, {"proxyType": "ingress", "name": "in"}, 404),
    ],
)
async def test_tokens_are_asked_of_each_type_of_proxy_by_itself(
    required: dict[str, bool], asked: dict[str, str], status: int
) -> None:
    assert (await post(build(**required), asked)).status == status


async def test_a_host_that_the_certificate_does_not_cover() -> None:
    answer = await post(build(), ASK, host="kuma.internal:5678")

    assert answer.status == 400
    assert '"kuma.internal" address' in answer.text
    assert '["127.0.0.1" "localhost"]' in answer.text


async def test_a_configured_host_replaces_the_one_of_the_request() -> None:
    params = bootstrap.Params(xds_host="cp.example", xds_port=443)

    answer = await post(build(params=params), ASK, host="kuma.internal")

    cluster = yaml.safe_load(answer.body)["staticResources"]["clusters"][1]
    address = cluster["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]["address"]
    assert address == {"socketAddress": {"address": "cp.example", "portValue": 443}}


def test_a_configured_host_has_to_be_in_the_certificate() -> None:
    checks.check_xds_host("localhost", CERTIFICATE)
    with pytest.raises(ValueError, match=r"hostname: cp\.example set by KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_HOST"):
        checks.check_xds_host("cp.example", CERTIFICATE)


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/config"), ("POST", "/nothing")])
async def test_other_paths(method: str, path: str) -> None:
    answer = await asgi.call(build(), method, path)

    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("headers", [{}, {"content-length": "1001"}])
async def test_a_large_body_is_refused(headers: dict[str, str]) -> None:
    answer = await post(build(body_limit=1000), b" " * 1001, **headers)

    assert answer.status == 413


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ({"mesh": "default", "name": "web-1"}, "right", 204),
        ({"mesh": "default", "name": "web-1"}, "wrong", 401),
        ({"mesh": "default", "name": "web-1", "proxyType": "bridge"}, "right", 400),
        ({"mesh": "default"}, "right", 400),
        (b"", "right", 400),
    ],
)
async def test_goodbye(body: Any, token: str, status: int) -> None:
    farewells = Farewells()

    answer = await post(build(goodbye=farewells), body, "/goodbye", authorization=token)

    assert answer.status == status
    assert farewells.taken == ([res.Key("Dataplane", "default", "web-1")] if status == 204 else [])


async def test_a_zone_egress_says_goodbye_for_its_own_resource() -> None:
    farewells = Farewells()

    body = {"mesh": "", "name": "way-out", "proxyType": "egress"}
    await post(build(goodbye=farewells), body, "/goodbye", authorization="right")

    assert farewells.taken == [res.Key("ZoneEgress", "", "way-out")]


async def test_a_goodbye_may_say_which_definition_leaves() -> None:
    farewells = Farewells()

    await post(
        build(goodbye=farewells),
        {"mesh": "default", "name": "web-1", "dataplaneResource": "{}"},
        "/goodbye",
        authorization="right",
    )

    assert farewells.definitions == ["{}"]


async def test_the_observer_hears_of_every_answer() -> None:
    heard: list[tuple[str, int]] = []
    app = build(observe=lambda path, status: heard.append((path, status)))

    await post(app, ASK)
    await post(app, {**ASK, "name": "nope"})
    await post(app, b"", "/goodbye")

    assert heard == [("/bootstrap", 200), ("/bootstrap", 404), ("/goodbye", 400)]
