"""Rules of a MeshGateway: each listener by itself, then those that share a port.

Values of its tags may have slashes (`http/8080`), as those of selectors.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base import gotext, labels
from kuma.base.errors import Violation
from kuma.resources import addresses, selectors
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.resources.kinds import meshgateway as model

_EMPTY = "cannot be empty"
_RESERVED_TAGS = ("kuma.io/external-service-name", labels.PROTOCOL_TAG, labels.SERVICE_TAG, labels.ZONE_TAG)
_LONGEST_HOSTNAME = 253
_MOST_CERTIFICATES = 2


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshGateway."""
    spec: model.MeshGateway = resource.spec
    listeners = spec.conf.listeners if spec.conf is not None else ()
    yield from selectors.check_selectors(
        "selectors",
        [each.match for each in spec.selectors],
        at_most_one=any(each.cross_mesh for each in listeners),
        service=True,
    )
    yield from selectors.check_selector("tags", spec.tags, extra=(_not_reserved,))
    if spec.conf is None:
        yield Violation("conf", _EMPTY)
    elif not listeners:
        yield Violation("conf.listeners", _EMPTY)
    for index, listener in enumerate(listeners):
        yield from _check_listener(f"conf.listeners[{index}]", listener)
    yield from _check_ports("conf.listeners", listeners)


def _not_reserved(path: str, tags: Mapping[str, str]) -> Iterator[Violation]:
    """What the proxy and the control plane say about a listener, its tags may not."""
    for key in _RESERVED_TAGS:
        if key in tags:
            yield Violation(selectors.key_path(path, key), f"tag name must not be {gotext.quote(key)}")


def _check_listener(path: str, listener: "model.Listener") -> Iterator[Violation]:
    yield from _check_hostname(f"{path}.hostname", listener.hostname)
    yield from addresses.check_port(f"{path}.port", listener.port)
    if listener.protocol == "NONE":
        yield Violation(f"{path}.protocol", _EMPTY)
    if listener.protocol == "HTTPS":
        if listener.cross_mesh:
            yield Violation(f"{path}.protocol", "protocol is not supported with crossMesh")
        elif listener.tls is None:
            yield Violation(f"{path}.tls", _EMPTY)
        elif listener.tls.mode == "PASSTHROUGH":
            yield Violation(f"{path}.tls.mode", "mode is not supported on HTTPS listeners")
    if listener.tls is not None:
        yield from _check_tls(f"{path}.tls", listener.tls, listener.cross_mesh)
    yield from selectors.check_selector(f"{path}.tags", listener.tags, extra=(_not_reserved,))


def _check_hostname(path: str, hostname: str) -> Iterator[Violation]:
    """A domain name, one below a wildcard, or any (`*`, or nothing)."""
    if hostname in ("", "*"):
        return
    if len(hostname) > _LONGEST_HOSTNAME:
        yield Violation(path, f"must be at most {_LONGEST_HOSTNAME} characters")
    domain = hostname.removeprefix("*.")
    if not addresses.is_dns_name(domain):
        yield Violation(path, "invalid wildcard domain" if domain != hostname else "invalid hostname")


def _check_tls(path: str, tls: "model.Tls", cross_mesh: bool) -> Iterator[Violation]:
    """Listeners for other meshes use the mesh's own certificates."""
    if cross_mesh:
        if tls.mode != "NONE" or tls.certificates:
            yield Violation(path, "must be empty with crossMesh")
    elif tls.mode == "NONE":
        yield Violation(f"{path}.mode", _EMPTY)
    elif tls.mode == "TERMINATE":
        if not tls.certificates:
            yield Violation(f"{path}.certificates", "cannot be empty in TLS termination mode")
        elif len(tls.certificates) > _MOST_CERTIFICATES:
            yield Violation(f"{path}.certificates", f"cannot have more than {_MOST_CERTIFICATES} certificates")


def _check_ports(path: str, listeners: "Sequence[model.Listener]") -> Iterator[Violation]:
    """Listeners of one port become one listener of Envoy, so they speak alike and differ by host name."""
    by_port: dict[int, list[int]] = defaultdict(list)
    for index, listener in enumerate(listeners):
        by_port[listener.port].append(index)
    for indexes in by_port.values():
        protocols = _by_value({index: listeners[index].protocol for index in indexes})
        if len(protocols) > 1:
            for index in indexes:
                yield Violation(f"{path}[{index}]", "protocol conflicts with other listeners on this port")
        for same in _by_value({index: listeners[index].hostname or "*" for index in indexes}).values():
            if len(same) > 1:
                for index in same:
                    yield Violation(f"{path}[{index}]", "multiple listeners for hostname on this port")
        limits = {index: limit for index in indexes if (limit := _limit_of(listeners[index]))}
        if len(_by_value(limits)) > 1:
            for index in limits:
                yield Violation(f"{path}[{index}].resources.connectionLimit", "conflicting values for this port")


def _limit_of(listener: "model.Listener") -> int:
    return listener.resources.connection_limit if listener.resources is not None else 0


def _by_value(values: Mapping[int, Hashable]) -> dict[Hashable, list[int]]:
    """The indexes that share each value."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for index, value in values.items():
        found[value].append(index)
    return found
