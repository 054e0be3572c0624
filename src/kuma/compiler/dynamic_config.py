"""What the agent is told through its Envoy: small documents that Envoy serves on a Unix socket.

The agent asks for each every second and names the version it has, so a document carries its hash as `Etag` and is
answered with 304 while nothing changed. Source: Kuma's dynamic configuration of kuma-dp.
"""

import hashlib
from collections.abc import Mapping

from kuma.base import sockets
from kuma.envoy import api, http, names
from kuma.envoy import sockets as addresses
from kuma.plan import nodes

ORIGIN = "dynamic-config"
DNS = "dns"


def listener(
    documents: Mapping[str, bytes], workdir: str, *, unified: bool, ipv6: bool = True
) -> nodes.ListenerNode | None:
    """Serves JSON documents by name, each under the path `/<name>`; None where there are none.

    `workdir` is the agent's. Routes stand in the order of the documents.
    """
    if not documents:
        return None
    name = names.dynamic_config(unified)
    manager = http.connection_manager(names.sanitize_stat(name), local_only=True, ipv6=ipv6)
    manager.route_config.max_direct_response_body_size_bytes.value = max(map(len, documents.values()))
    host = manager.route_config.virtual_hosts.add(name=name, domains=["*"])
    for each, body in documents.items():
        _add_routes(host, each, body, unified)
    message = api.Listener(name=name)
    message.address.CopyFrom(addresses.pipe_address(sockets.dynamic_config(workdir)))
    if unified:
        message.stat_prefix = name
    return nodes.ListenerNode(name, message, [nodes.ChainNode(http=manager)], origin=ORIGIN)


def _add_routes(host: api.Message, name: str, body: bytes, unified: bool) -> None:
    """The answer to those who have this version already, then the document itself."""
    version = hashlib.sha256(body).hexdigest()
    unchanged = host.routes.add(name=names.dynamic_config_unchanged(name, unified))
    unchanged.match.path = f"/{name}"
    unchanged.match.headers.add(name="If-None-Match").string_match.exact = version
    unchanged.direct_response.status = 304
    found = host.routes.add(name=names.dynamic_config_route(name, unified))
    found.match.path = f"/{name}"
    found.direct_response.status = 200
    found.direct_response.body.inline_string = body.decode()
    header = found.response_headers_to_add.add()
    header.header.key, header.header.value = "Etag", version
