"""Family `bootstrap`: requests to `/bootstrap` and the Envoy configuration or error that they must get.

Each case runs against the real ASGI application over an in-memory set of resources; only the socket is left out.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from starlette.applications import Starlette

from kuma.base import durations, errors
from kuma.envoy import bootstrap
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.servers import agents
from tests.conformance import outcome
from tests.kit import asgi

CATALOG = catalogs.Catalog([dataplane.KIND, mesh.KIND])


class Shelf:
    """A few resources, by key."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        decoded = [codec.decode(CATALOG.find(each["type"]), each) for each in documents]
        self._by_key = {each.key: each for each in decoded}

    async def get(self, key: res.Key) -> res.Resource[Any]:
        if key not in self._by_key:
            raise errors.NotFound(str(key))
        return self._by_key[key]


def params_of(cp: dict[str, Any], *, of_server: bool) -> bootstrap.Params:
    """The settings of a case. Kuma's built-in defaults, which the generator cases start from, leave admin off."""
    return bootstrap.Params(
        admin_address=cp.get("adminAddress", "127.0.0.1"),
        admin_port=cp.get("adminPort", 0),
        admin_unix_socket=bool(cp.get("envoyAdminUnixSocket", False)),
        admin_access_log_path=cp.get("adminAccessLogPath", "/dev/null"),
        xds_host=cp.get("xdsHost", ""),
        xds_port=cp.get("xdsPort", 5678),
        xds_connect_timeout=durations.parse_go(cp.get("xdsConnectTimeout", "1s")),
        reloadable_tokens=bool(cp.get("useTokenPath", False)),
        hds_enabled=bool(cp.get("hdsEnabled", of_server)),
        gateway_max_connections=cp.get("gatewayGlobalDownstreamMaxConnections", 0),
    )


async def _goodbye(key: res.Key, credential: str) -> None:
    raise errors.NotFound(str(key))


def server_of(case: dict[str, Any], folder: Path) -> Starlette:
    """The server of a control plane that holds the resources of the case."""
    of_server = case["id"].startswith("server/")
    cp = case.get("cp", {})
    default_mesh = {"type": "Mesh", "name": case["request"]["body"].get("mesh", "default")}
    documents = [case.get("mesh") or default_mesh] + ([case["dataplane"]] if "dataplane" in case else [])
    token_required = of_server or bool(cp.get("dpAuthEnabled"))
    corefile = cp.get("corefileTemplatePath") or cp.get("corefileTemplate")
    return agents.build(
        agents.Deps(
            resources=Shelf(documents),
            catalog=CATALOG,
            goodbye=_goodbye,
            certificate=(folder / "files" / "server-cert.pem").read_bytes(),
            params=params_of(cp, of_server=of_server),
            dataplane_token_required=token_required,
            zone_token_required=token_required,
            corefile_template=(folder / "files" / "corefile.template").read_bytes() if corefile else None,
        )
    )


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case: a configuration equal to the golden one, or the status and text of the refusal."""
    problems = check_case(case, folder)
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


def check_case(case: dict[str, Any], folder: Path) -> list[str]:
    """What differs from what the case expects; empty where nothing does."""
    request = case["request"]
    body = dict(request["body"]) if isinstance(request.get("body"), dict) else request.get("body")
    host = request.get("hostHeader") or (body.pop("Host", None) if isinstance(body, dict) else None) or "localhost"
    headers = {"host": host, **request.get("headers", {})}
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    method, path = request.get("method", "POST"), request.get("path", "/bootstrap")
    answer = asyncio.run(asgi.call(server_of(case, folder), method, path, content, headers))
    if "error_equals" in case:
        return [] if answer.text == case["error_equals"] else [f"text: {answer.text!r}"]
    wanted = case.get("status", 200)
    if answer.status != wanted:
        return [f"status: {answer.status}, expected {wanted}: {answer.text[:200]}"]
    if "golden" not in case:
        text = case.get("responseBody", case.get("body", ""))
        return [] if answer.text == text else [f"body: {answer.text!r}, expected {text!r}"]
    expected = yaml.safe_load((folder / case["golden"]).read_text())
    return list(differences(expected, yaml.safe_load(answer.text)))


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two trees differ; the order of `features` does not count."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(set(expected) | set(found)):
            if key not in found:
                yield f"{path}.{key}: missing"
            elif key not in expected:
                yield f"{path}.{key}: unexpected"
            else:
                yield from differences(expected[key], found[key], f"{path}.{key}")
    elif path.endswith(".features") and isinstance(expected, list) and isinstance(found, list):
        if sorted(expected) != sorted(found):
            yield f"{path}: {found}, expected {expected}"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif expected != found or type(expected) is not type(found):
        yield f"{path}: {found!r}, expected {expected!r}"[:300]
