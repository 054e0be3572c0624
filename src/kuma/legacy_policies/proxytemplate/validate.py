"""Rules of a ProxyTemplate. What it embeds is read as Envoy would read it, so Envoy's messages load on first use."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.policy_engine.writing import envoy_yaml
from kuma.resources import resource as res
from kuma.resources import selectors

if TYPE_CHECKING:
    from kuma.legacy_policies.proxytemplate import model

PROFILES = ("default-proxy", "egress-proxy", "gateway-proxy", "ingress-proxy")
"""What `imports` may name: the configurations that Kuma would generate by itself."""

_EMPTY = "cannot be empty"
_CHANGES = ("add", "patch", "remove")
_FILTER_CHANGES = ("addFirst", "addLast", "addBefore", "addAfter", "patch", "remove")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a ProxyTemplate."""
    spec: model.ProxyTemplate = resource.spec
    tags = [each.match for each in spec.selectors]
    yield from selectors.check_selectors("selectors", tags, required=False, service=True)
    if spec.conf is None:
        return
    for index, name in enumerate(spec.conf.imports):
        if not name:
            yield Violation(f"conf.imports[{index}]", _EMPTY)
        elif name not in PROFILES:
            reason = f"profile not found. Available profiles: {','.join(PROFILES)}"
            yield Violation(f"conf.imports[{index}]", reason)
    for index, raw in enumerate(spec.conf.resources):
        yield from _check_resource(f"conf.resources[{index}]", raw)
    for index, change in enumerate(spec.conf.modifications):
        yield from _check_modification(f"conf.modifications[{index}]", change)


def _check_resource(path: str, raw: "model.RawResource") -> Iterator[Violation]:
    for name, text in (("name", raw.name), ("version", raw.version), ("resource", raw.resource)):
        if not text:
            yield Violation(f"{path}.{name}", _EMPTY)
    if raw.resource:
        yield from envoy_yaml.check(f"{path}.resource", raw.resource)


def _check_modification(path: str, change: "model.Modifications") -> Iterator[Violation]:
    if change.cluster is not None:
        yield from _check_whole(f"{path}.cluster", change.cluster, envoy_yaml.CLUSTER)
    if change.listener is not None:
        yield from _check_whole(f"{path}.listener", change.listener, envoy_yaml.LISTENER)
    if change.network_filter is not None:
        yield from _check_filter(f"{path}.networkFilter", change.network_filter, envoy_yaml.NETWORK_FILTER)
    if change.http_filter is not None:
        yield from _check_filter(f"{path}.httpFilter", change.http_filter, envoy_yaml.HTTP_FILTER)
    if change.virtual_host is not None:
        yield from _check_virtual_host(f"{path}.virtualHost", change.virtual_host)


def _check_whole(path: str, change: "model.Cluster | model.Listener", type_name: str) -> Iterator[Violation]:
    """A change to a whole resource: what is added has no match, there is nothing to match yet."""
    if change.operation == "add" and change.match is not None:
        yield Violation(f"{path}.match", "cannot be defined")
    yield from _check_operation(path, change.operation, change.value, _CHANGES, type_name)


def _check_virtual_host(path: str, change: "model.VirtualHost") -> Iterator[Violation]:
    if change.operation == "add" and change.match is not None and change.match.name:
        yield Violation(f"{path}.match.name", "cannot be defined")
    yield from _check_operation(path, change.operation, change.value, _CHANGES, envoy_yaml.VIRTUAL_HOST)


def _check_filter(path: str, change: "model.Filter", type_name: str) -> Iterator[Violation]:
    """A filter beside another one, or a patch, has to say which filter is meant."""
    if change.match is None or not change.match.name:
        pick = "cannot be empty. You need to pick a filter {} which this one will be added"
        reasons = {"addBefore": pick.format("before"), "addAfter": pick.format("after"), "patch": _EMPTY}
        if change.operation in reasons:
            yield Violation(f"{path}.match.name", reasons[change.operation])
    yield from _check_operation(path, change.operation, change.value, _FILTER_CHANGES, type_name)


def _check_operation(
    path: str, operation: str, value: str, allowed: Sequence[str], type_name: str
) -> Iterator[Violation]:
    """The operation is known, and the value is what it needs: nothing, a part, or something that can stand alone."""
    if operation not in allowed:
        listed = ", ".join(gotext.quote(each) for each in allowed)
        yield Violation(f"{path}.operation", f"invalid operation. Available operations: {listed}")
    elif operation != "remove":
        yield from envoy_yaml.check(f"{path}.value", value, type_name, whole=operation != "patch")
