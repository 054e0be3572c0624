"""The counts that a MeshInsight shows, computed from the proxies and resources of one mesh. Pure.

Source: Kuma's API, MeshInsight. Kinds without any resource are left out.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, externalservice, meshinsight, serviceinsight
from kuma.services.insights import overviews, service_insights

MOST_WARNINGS = 100
"""An insight is read as a whole: a generator of broken policies must not make it endless."""
_EXTERNAL = serviceinsight.ServiceType.EXTERNAL


def desired(
    proxies: Collection[service_insights.ProxyFacts],
    policies: Mapping[str, int],
    others: Mapping[str, int],
    services: serviceinsight.ServiceInsight,
    *,
    with_services: bool,
    warnings: tuple[meshinsight.PolicyWarning, ...] = (),
) -> meshinsight.MeshInsight:
    """The insight of one mesh.

    `policies` and `others` count resources by kind, disjoint. `with_services` is False for a mesh whose services are
    MeshServices alone: tags name no services there.
    """
    kinds_of_gateway = [proxy for proxy in proxies if proxy.gateway is not None]
    return meshinsight.MeshInsight(
        dataplanes=_stat(proxies),
        policies={kind: meshinsight.PolicyStat(total=count) for kind, count in sorted(policies.items()) if count},
        dp_versions=meshinsight.DpVersions(
            kuma_dp=_by(proxies, lambda proxy: (proxy.kuma_dp,)), envoy=_by(proxies, lambda proxy: (proxy.envoy,))
        ),
        mtls=meshinsight.MTLS(
            issued_backends=_by(proxies, lambda proxy: (proxy.issued_backend,)),
            supported_backends=_by(proxies, lambda proxy: proxy.supported_backends),
        ),
        services=_service_stat(services, others.get(externalservice.KIND.name, 0)) if with_services else None,
        dataplanes_by_type=meshinsight.DataplanesByType(
            standard=_stat(proxy for proxy in proxies if proxy.gateway is None),
            gateway=_stat(kinds_of_gateway),
            gateway_builtin=_stat(each for each in kinds_of_gateway if each.gateway is dataplane.GatewayType.BUILTIN),
            gateway_delegated=_stat(
                each for each in kinds_of_gateway if each.gateway is dataplane.GatewayType.DELEGATED
            ),
        ),
        resources={
            kind: meshinsight.ResourceStat(total=count)
            for kind, count in sorted({**policies, **others}.items())
            if count
        },
        warnings=warnings,
    )


def shown_warnings(
    found: Iterable[tuple[res.Resource[Any], errors.Violation]],
) -> tuple[meshinsight.PolicyWarning, ...]:
    """Why policies have no effect, as an insight shows it: the first MOST_WARNINGS, each about one field of a policy."""
    return tuple(
        meshinsight.PolicyWarning(policy.kind.name, policy.meta.name, problem.field, problem.message)
        for policy, problem in itertools.islice(found, MOST_WARNINGS)
    )


def _stat(proxies: Iterable[service_insights.ProxyFacts]) -> meshinsight.DataplaneStat:
    total = online = offline = degraded = 0
    for proxy in proxies:
        total += 1
        if proxy.status is overviews.Status.ONLINE:
            online += 1
        elif proxy.status is overviews.Status.OFFLINE:
            offline += 1
        else:
            degraded += 1
    return meshinsight.DataplaneStat(total=total, online=online, offline=offline, partially_degraded=degraded)


def _by(
    proxies: Iterable[service_insights.ProxyFacts],
    names_of: Callable[[service_insights.ProxyFacts], Iterable[str]],
) -> dict[str, meshinsight.DataplaneStat]:
    """Counts of proxies grouped by a name (a version, a backend); a proxy may be in several groups or in none."""
    groups: dict[str, list[service_insights.ProxyFacts]] = {}
    for proxy in proxies:
        for name in names_of(proxy):
            if name:
                groups.setdefault(name, []).append(proxy)
    return {name: _stat(groups[name]) for name in sorted(groups)}


def _service_stat(services: serviceinsight.ServiceInsight, external: int) -> meshinsight.ServiceStat:
    """Services of proxies by name, and ExternalServices one by one, also where several share a name."""
    internal = sum(each.service_type is not _EXTERNAL for each in services.services.values())
    return meshinsight.ServiceStat(total=internal + external, internal=internal, external=external)
