"""Rules of an ExternalService."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import labels
from kuma.base.errors import Violation
from kuma.resources import addresses, selectors
from kuma.resources import resource as res
from kuma.resources.rules import dataplane as dataplane_rules

if TYPE_CHECKING:
    from kuma.resources.kinds import externalservice as model

_PORT = re.compile(r"\d{1,9}", re.ASCII)


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of an ExternalService."""
    spec: model.ExternalService = resource.spec
    host = ""
    if spec.networking is None:
        yield Violation("networking", "should have networking")
    else:
        host = (addresses.split_host_port(spec.networking.address) or ("", ""))[0]
        yield from _check_address("networking.address", spec.networking.address)
        if spec.networking.tls is not None:
            yield from _check_tls("networking.tls", spec.networking.tls)
    yield from selectors.check_tags(
        "tags", spec.tags, at_least_one=True, service=True, extra=(dataplane_rules.check_protocol,)
    )
    if host and spec.tags.get(labels.SERVICE_TAG) == host:
        place = selectors.key_path("tags", labels.SERVICE_TAG)
        yield Violation(place, "cannot be the same as networking.address")


def _check_address(path: str, address: str) -> Iterator[Violation]:
    """Each part that cannot be read is reported, also where the whole cannot be taken apart."""
    if not address:
        yield Violation(path, "address can't be empty")
        return
    parts = addresses.split_host_port(address)
    if parts is None:
        yield Violation(path, "unable to parse address")
    host, port = parts or ("", "")
    if addresses.parse_ip(host) is None and not addresses.is_dns_name(host):
        yield Violation(path, "address has to be a valid IP address or a domain name")
    if not _PORT.fullmatch(port):
        yield Violation(path, "unable to parse port in address")
    yield from addresses.check_port(path, int(port) if _PORT.fullmatch(port) else 0)


def _check_tls(path: str, tls: "model.Tls") -> Iterator[Violation]:
    if tls.server_name == "":
        yield Violation(f"{path}.serverName", "cannot be empty")
    sources = (("caCert", tls.ca_cert), ("clientCert", tls.client_cert), ("clientKey", tls.client_key))
    for name, source in sources:
        if source is not None and source.is_empty:
            yield Violation(f"{path}.{name}", "data source cannot be empty")
