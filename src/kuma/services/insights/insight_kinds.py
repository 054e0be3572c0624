"""Which kind of insight tells of which kind of proxy, for everybody who looks after those that connect."""

from typing import Any

from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, zoneegress, zoneegressinsight

Insight = dataplaneinsight.DataplaneInsight | zoneegressinsight.ZoneEgressInsight

PROXIES: tuple[kinds.Kind[Any], ...] = (dataplane.KIND, zoneegress.KIND)
"""The kinds of proxies that connect."""

INSIGHTS: tuple[kinds.Kind[Any], ...] = (dataplaneinsight.KIND, zoneegressinsight.KIND)
"""Their insights, in the same order."""

_OF_PROXY = {proxy.name: insight for proxy, insight in zip(PROXIES, INSIGHTS, strict=True)}
_OF_INSIGHT = {insight.name: proxy for proxy, insight in zip(PROXIES, INSIGHTS, strict=True)}


def insight_kind(proxy: res.Key) -> kinds.Kind[Any]:
    """The kind of a proxy's insight."""
    return _OF_PROXY[proxy.kind]


def insight_key(proxy: res.Key) -> res.Key:
    """Where the insight of a proxy is stored."""
    return res.Key(insight_kind(proxy).name, proxy.mesh, proxy.name)


def proxy_key(insight: res.Key) -> res.Key:
    """The proxy that an insight tells of."""
    return res.Key(_OF_INSIGHT[insight.kind].name, insight.mesh, insight.name)
