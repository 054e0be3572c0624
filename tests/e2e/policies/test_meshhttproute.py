"""Requests go where a MeshHTTPRoute sends them, changed as it says: seen by the applications behind real Envoys."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.kit import acting, meshes, network, planes, traffic
from tests.kit.routes import rule

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshhttproute")]

ECHO = {"kind": "MeshService", "name": "echo"}
SHADOW = {"kind": "MeshService", "name": "shadow"}
V2 = {"kind": "MeshServiceSubset", "name": "echo", "tags": {"version": "v2"}}
V1 = {"kind": "MeshServiceSubset", "name": "echo", "tags": {"version": "v1"}}
VARIANTS = ("GRPC", "DELTA_GRPC")
ROUNDS = 3
"""How often rules come and go under requests."""


class Stage:
    """A client, two versions of a service, and another service that counts what it is asked; all with mutual TLS."""

    def __init__(self, mesh: meshes.Mesh, stack: contextlib.ExitStack) -> None:
        self.mesh = mesh.write(mtls=meshes.mtls(), meshServices={"mode": "Everywhere"})
        mesh.permit()
        self.shadow = stack.enter_context(acting.http("shadow"))
        for version in ("v1", "v2"):
            app = mesh.echo("http", version).inbound
            mesh.sidecar(f"echo-{version}", inbounds={"echo": app}, tags={"version": version}).launch()
        self.behind = mesh.sidecar("shadow", inbounds={"shadow": (self.shadow.port, "http")}).launch()
        self.clients = {
            variant: mesh.sidecar(
                variant.lower().replace("_", "-"),
                inbounds={"web": (1, "http")},
                outbounds=("echo",),
                DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=variant,
            ).launch()
            for variant in VARIANTS
        }
        self.web = self.clients["GRPC"]
        for each in mesh.sidecars:
            each.ready()
        for client in self.clients.values():
            traffic.until_status(client.url("echo"), 200)

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> planes.Answer:
        """One request of the client; underscores in names of headers are hyphens."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        return planes.ask(*self.web.url("echo"), method, path, headers=written, timeout=traffic.SECONDS)

    def apps(self, count: int) -> Counter[str]:
        """Who answered so many requests."""
        return Counter(self.ask().document["app"] for _ in range(count))

    @contextlib.contextmanager
    def routed(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """Rules for requests to the service, in force for the time of the block; none are left behind."""
        with self.mesh.policy("MeshHTTPRoute", to=[{"targetRef": ECHO, "rules": [MARK, *rules]}]):
            network.until("the rules are in force", self._is_marked)
            yield
        network.until("the rules are gone", lambda: not self._is_marked())

    def _is_marked(self) -> bool:
        return "x-marked" in self.ask("/marked").headers


def changed(which: str, **changes: Any) -> dict[str, Any]:
    """A filter on headers of requests or responses."""
    member = f"{which}HeaderModifier"
    return {"type": member[0].upper() + member[1:], member: changes}


def tagged(name: str) -> list[dict[str, Any]]:
    """A filter by which the application tells which rule was followed."""
    return [changed("request", set=[{"name": "x-rule", "value": name}])]


def path(kind: str, value: str) -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


MARK = rule(path("Exact", "/marked"), filters=[changed("response", set=[{"name": "x-marked", "value": "1"}])])


@pytest.fixture(scope="module")
def stage(shared_plane: planes.Plane) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        yield Stage(stack.enter_context(meshes.mesh(shared_plane)), stack)


def test_the_most_specific_rule_is_followed(stage: Stage) -> None:
    header = {"headers": [{"name": "x-tester", "type": "Prefix", "value": "al"}]}
    query = {"queryParams": [{"type": "RegularExpression", "name": "q", "value": "[0-9]+"}]}
    rules = [
        rule(query, filters=tagged("query")),
        rule(header, filters=tagged("header")),
        rule({"method": "POST"}, filters=tagged("method")),
        rule(path("RegularExpression", "/e[a-z]+/x"), filters=tagged("expression")),
        rule(path("PathPrefix", "/a"), filters=tagged("prefix")),
        rule(path("PathPrefix", "/a/b"), filters=tagged("longer prefix")),
        rule({**path("PathPrefix", "/a/b"), **header}, filters=tagged("longer prefix and header")),
        rule(path("Exact", "/a/b/c"), filters=tagged("exact")),
    ]
    asked: dict[str, tuple[Any, ...]] = {
        "exact": ("/a/b/c",),
        "longer prefix": ("/a/b/cd",),
        "longer prefix and header": ("/a/b", "GET", {"x_tester": "alice"}),
        "prefix": ("/a/bc",),
        "expression": ("/ex/x",),
        "method": ("/ab", "POST", {"x_tester": "alice"}),
        "header": ("/ab?q=1", "GET", {"x_tester": "alice"}),
        "query": ("/ab?q=1", "GET", {"x_tester": "bob"}),
        "none": ("/ab?q=x", "GET"),
    }
    with stage.routed(*rules):
        found = {}
        for name, (at, *more) in asked.items():
            method = more[0] if more else "GET"
            seen = stage.ask(at, method, **(more[1] if len(more) > 1 else {})).document["headers"]
            found[name] = seen.get("x-rule", "none")
    assert found == {name: name for name in asked}


def test_requests_are_split_by_weight(stage: Stage) -> None:
    """One in four of 400: five standard deviations are 43."""
    backends = [{**V1, "weight": 75}, {**V2, "weight": 25}]
    with stage.routed(rule(path("PathPrefix", "/"), backends=backends)):
        found = stage.apps(400)
    assert found.keys() == {"v1", "v2"}
    assert 57 <= found["v2"] <= 143


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_request_is_lost_when_rules_come_and_go(stage: Stage, variant: str) -> None:
    """The cluster of the subset is warm before any request is sent to it, and goes when none is sent there any more."""
    with traffic.flowing(stage.clients[variant].url("echo")) as flow:
        for _ in range(ROUNDS):
            with stage.routed(rule(path("PathPrefix", "/"), backends=[V2])):
                flow.until_more()
            flow.until_more()


def test_a_subset_takes_all(stage: Stage) -> None:
    with stage.routed(rule(path("PathPrefix", "/"), backends=[V2, {**V1, "weight": 0}])):
        assert stage.apps(20) == {"v2": 20}


@pytest.mark.parametrize(("share", "least", "most"), [({}, 200, 200), ({"percentage": 25}, 20, 80)])
def test_copies_are_sent_elsewhere(stage: Stage, share: dict[str, Any], least: int, most: int) -> None:
    """All of 200, or one in four: five standard deviations are 31. Whatever becomes of them, the client is answered."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": SHADOW, **share}}
    stage.shadow.seen.clear()
    stage.shadow.fails = True
    with stage.routed(rule(path("Exact", "/"), filters=[mirror])):
        assert {stage.ask().status for _ in range(200)} == {200}
        network.until("copies have come", lambda: stage.shadow.seen["/"] >= least)
        assert stage.shadow.seen["/"] <= most
    stage.shadow.fails = False


@pytest.mark.parametrize(
    ("match", "conf", "asked", "status", "location"),
    [
        (path("Exact", "/old"), {"scheme": "https", "port": 8443}, "/old?a=b", 302, "https://{host}:8443/old?a=b"),
        (
            path("PathPrefix", "/old"),
            {"hostname": "h.example", "statusCode": 301},
            "/old/x",
            301,
            "http://h.example/old/x",
        ),
        (
            path("PathPrefix", "/old"),
            {
                "hostname": "h.example",
                "statusCode": 307,
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"},
            },
            "/old/x",
            307,
            "http://h.example/new/x",
        ),
        (
            path("PathPrefix", "/old"),
            {
                "hostname": "h.example",
                "statusCode": 308,
                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"},
            },
            "/old/x",
            308,
            "http://h.example/new",
        ),
    ],
)
def test_clients_are_redirected(
    stage: Stage, match: dict[str, Any], conf: dict[str, Any], asked: str, status: int, location: str
) -> None:
    host, port = stage.web.url("echo")
    wanted = location.format(host=host, port=port)
    with stage.routed(rule(match, filters=[{"type": "RequestRedirect", "requestRedirect": conf}])):
        answer = stage.ask(asked)
        elsewhere = stage.ask("/older")
    assert (answer.status, answer.headers["location"]) == (status, wanted)
    assert elsewhere.status == 200


@pytest.mark.parametrize(
    ("prefix", "conf", "rewritten"),
    [
        ("/v2", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, {"/v2": "/", "/v2/a?b=c": "/a?b=c"}),
        ("/v2", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}, {"/v2": "/new", "/v2/a": "/new/a"}),
        ("/", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}, {"/a/b": "/new/a/b"}),
        ("/v2", {"type": "ReplaceFullPath", "replaceFullPath": "/all"}, {"/v2": "/all", "/v2/a?b=c": "/all?b=c"}),
    ],
)
def test_paths_are_rewritten(stage: Stage, prefix: str, conf: dict[str, Any], rewritten: dict[str, str]) -> None:
    filters = [{"type": "URLRewrite", "urlRewrite": {"path": conf, "hostname": "h.example"}}]
    with stage.routed(rule(path("PathPrefix", prefix), filters=filters)):
        seen = {asked: stage.ask(asked).document for asked in rewritten}
    assert {asked: each["path"] for asked, each in seen.items()} == rewritten
    assert {each["headers"]["host"] for each in seen.values()} == {"h.example"}


def test_headers_are_changed(stage: Stage) -> None:
    changes = {
        "set": [{"name": "x-set", "value": "new"}],
        "add": [{"name": "x-add", "value": "more"}],
        "remove": ["x-gone"],
    }
    answered = {"set": [{"name": "content-type", "value": "text/plain"}], "remove": ["server"]}
    filters = [changed("request", **changes), changed("response", **answered)]
    with stage.routed(rule(path("Exact", "/"), filters=filters)):
        answer = stage.ask(x_set="old", x_add="some", x_gone="here")
    seen = answer.document["headers"]
    assert (seen["x-set"], "x-gone" in seen) == ("new", False)
    assert "more" in seen["x-add"]
    assert answer.headers["content-type"] == "text/plain"


def test_a_backend_may_be_a_mesh_service(stage: Stage) -> None:
    port = stage.behind.inbound_port["shadow"]
    stage.shadow.seen.clear()
    with stage.routed(rule(path("PathPrefix", "/"), backends=[{**SHADOW, "port": port}])):
        assert stage.ask("/there").text == "shadow"
    assert stage.shadow.seen["/there"] == 1


def test_a_rule_that_leads_nowhere_is_passed_over(stage: Stage) -> None:
    nobody = {"kind": "MeshService", "name": "nobody", "port": 80}
    with stage.routed(rule(path("PathPrefix", "/a"), backends=[nobody], filters=tagged("nobody"))):
        assert "x-rule" not in stage.ask("/a").document["headers"]
