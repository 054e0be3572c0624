"""Rules of a RateLimit. The path of a header is `header["0"]`; users of Kuma know it so."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.legacy_policies.ratelimit import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a RateLimit."""
    spec: model.RateLimit = resource.spec
    yield from connections.check_inbound(spec)
    if spec.conf is None:
        yield Violation("conf", "must have conf")
    elif spec.conf.http is not None:
        yield from _check_http("conf.http", spec.conf.http)


def _check_http(path: str, http: "model.Http") -> Iterator[Violation]:
    if not http.requests:
        yield Violation(f"{path}.requests", "requests must be set")
    if http.interval is None or http.interval.nanoseconds <= 0:
        yield Violation(f"{path}.interval", "interval must be set")
    for index, header in enumerate(http.on_rate_limit.headers if http.on_rate_limit else ()):
        place = f'{path}.onRateLimit.header["{index}"]'
        if not header.key:
            yield Violation(place, "key must be set")
        if not header.value:
            yield Violation(place, "value must be set")
