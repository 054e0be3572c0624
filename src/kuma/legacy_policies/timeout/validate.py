"""Rules of a Timeout.

The connect timeout and the stream timeouts of `http` are not looked at, as in Kuma: 0 means none there.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources import values

if TYPE_CHECKING:
    from kuma.legacy_policies.timeout import model

_ABOVE_ZERO = "has to be greater than 0"
_ABOVE_ZERO_IF_SET = "has to be greater than 0 when defined"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a Timeout."""
    spec: model.Timeout = resource.spec
    yield from connections.check_outbound(spec)
    conf = spec.conf
    if conf is None:
        yield Violation("conf", "has to be defined")
        return
    if conf.tcp is not None:
        yield from _check_section("conf.tcp", {"idleTimeout": conf.tcp.idle_timeout}, _ABOVE_ZERO)
    if conf.http is not None:
        main = {"requestTimeout": conf.http.request_timeout, "idleTimeout": conf.http.idle_timeout}
        yield from _check_section("conf.http", main, _ABOVE_ZERO_IF_SET)
    if conf.grpc is not None:
        streams = {
            "streamIdleTimeout": conf.grpc.stream_idle_timeout,
            "maxStreamDuration": conf.grpc.max_stream_duration,
        }
        yield from _check_section("conf.grpc", streams, _ABOVE_ZERO_IF_SET)


def _check_section(path: str, timeouts: dict[str, values.ProtoDuration | None], message: str) -> Iterator[Violation]:
    """One of the main timeouts of a section has to be there, and none may be 0."""
    if all(each is None for each in timeouts.values()):
        yield Violation(path, "at least one timeout in section has to be defined")
    for name, timeout in timeouts.items():
        if timeout is not None and timeout.nanoseconds <= 0:
            yield Violation(f"{path}.{name}", message)
