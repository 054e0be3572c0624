"""The way web -> api -> counter: what each says when it works, and who is named when it does not."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuma.apps.demo import api, counter, page, ports, rest, serving, web

CERTIFICATE = 'Hash=ab;URI=spiffe://default/web;URI="kuma://kuma.io/service/web"'


def start(route: serving.Route) -> int:
    server = serving.listen(0, route)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def refusing(status: int, text: str) -> serving.Route:
    return lambda method, path, headers: serving.Reply(status, text)


@pytest.fixture
def counter_file(tmp_path: Path) -> Path:
    return tmp_path / "count"


@pytest.fixture
def page_port(counter_file: Path) -> Iterator[int]:
    return start(web.route(start(api.route(start(counter.route(counter.Counter(counter_file)))))))


def test_each_view_of_the_page_is_counted_and_kept(page_port: int, counter_file: Path) -> None:
    for count in (1, 2):
        status, text = rest.ask(page_port, "GET", "/")
        assert status == 200
        assert f'<div class="count">{count}</div>' in text
    assert counter.Counter(counter_file).read() == 2


def test_asking_for_the_status_does_not_count(page_port: int) -> None:
    status, found = rest.ask(page_port, "GET", "/status")
    assert (status, found["count"]) == (200, 0)
    assert [each["name"] for each in found["path"]] == ["api", "counter"]


def test_a_refusal_by_the_sidecar_of_api_is_told() -> None:
    port = start(web.route(start(refusing(403, "RBAC: access denied"))))
    status, found = rest.ask(port, "GET", "/status")
    assert (status, found["sentence"]) == (403, "web was refused by api (RBAC: access denied)")
    status, text = rest.ask(port, "GET", "/")
    assert status == 403
    assert "403: web was refused by api (RBAC: access denied)" in text


def test_a_refusal_further_on_names_those_it_is_about() -> None:
    port = start(web.route(start(api.route(start(refusing(403, "RBAC: access denied"))))))
    status, found = rest.ask(port, "GET", "/status")
    assert (status, found["sentence"]) == (403, "api was refused by counter (RBAC: access denied)")


def test_a_connection_that_is_closed_by_the_other_side_is_not_called_a_refusal() -> None:
    text = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    status, found = rest.ask(start(web.route(start(refusing(503, text)))), "GET", "/status")
    assert status == 502
    assert found["sentence"] == f"api closed the connection of web ({text})"
    port = start(web.route(start(refusing(503, text))))
    assert "<span>closed the connection</span>" in rest.ask(port, "GET", "/")[1]


def test_a_service_that_is_away_is_no_refusal() -> None:
    nobody = ports.free_ports(1, [])[0]
    status, found = rest.ask(start(web.route(nobody)), "GET", "/status")
    assert (status, found["sentence"]) == (503, "web cannot reach api (no sidecar listens on the outbound)")
    port = start(web.route(start(refusing(503, "no healthy upstream"))))
    assert rest.ask(port, "GET", "/status")[1]["sentence"] == "web cannot reach api (no healthy upstream)"


@pytest.mark.parametrize(
    ("header", "identity"),
    [(CERTIFICATE, "spiffe://default/web"), ("", ""), ("By=spiffe://default/api;Hash=1", ""), ("URI=https://x", "")],
)
def test_the_caller_is_read_from_its_certificate(header: str, identity: str) -> None:
    assert serving.caller_identity(header) == identity


def test_texts_from_elsewhere_are_escaped() -> None:
    reply = page.render(serving.Trouble(403, "web", "api", "<script>alert(1)</script>"))
    assert "<script>alert" not in str(reply.body)
    assert "&lt;script&gt;alert(1)" in str(reply.body)


def test_a_broken_count_starts_again(counter_file: Path) -> None:
    counter_file.write_text("not a number")
    assert counter.Counter(counter_file).add_one() == 1
    assert json.loads(counter_file.read_text()) == 1
