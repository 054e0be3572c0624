"""From the texts of scrapes to what a MeshMetric promises: families of Envoy, of the applications and of the agent.

Pure and, for a large Envoy, a tenth of a second of work: callers run it beside their event loop.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import kuma
from kuma.apps.dataplane.metrics import combining, exposition, otlp, points, profiles
from kuma.apps.dataplane.metrics.exposition import Families, Family

_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Texts:
    """What there is to assemble. `envoy` goes through `chosen`, everything gets `labels`."""

    envoy: str
    others: Sequence[str]
    chosen: profiles.Profiles
    labels: Mapping[str, str]


def as_text(texts: Texts) -> bytes:
    """The exposition for Prometheus. Labels like `kuma.proxy_role` are written `kuma_proxy_role`."""
    families = _families(texts).values()
    exposition.with_labels(families, {_NOT_IN_LABELS.sub("_", name): value for name, value in texts.labels.items()})
    return exposition.render(families).encode()


def as_requests(texts: Texts, now: int) -> Iterator[bytes]:
    """The OTLP requests for a collector, each made when it is asked for. `now` is nanoseconds since 1970."""
    return otlp.requests(points.convert(_one_by_one(texts), kuma.VERSION, texts.labels, now), kuma.VERSION)


def _families(texts: Texts) -> Families:
    envoy = exposition.parse(texts.envoy)
    profiles.filter_profiles(envoy, texts.chosen)
    return combining.combine([envoy, *map(exposition.parse, texts.others)])


def _one_by_one(texts: Texts) -> Iterator[Family]:
    """The same, never all of them at a time: those of Envoy are most."""
    keeps = profiles.keeps_of(texts.chosen)
    others = [exposition.parse(each) for each in texts.others]
    for family in filter(keeps, exposition.read(texts.envoy)):
        name = family.name
        same = [{name: each.pop(name)} for each in others if name in each]
        yield combining.combine([{name: family}, *same])[name]
    yield from combining.combine(others).values()
