"""Which services are ready for mutual TLS while a mesh still lets plaintext in.

Source: Kuma's documentation, "Mutual TLS" (permissive mode): clients stay with plaintext until every proxy of a service
has a certificate. From then on a service stays ready, as a MeshService does (`status.tls`): whoever joins it starts with
a certificate, even if that is heard of later, and no client may fall back to plaintext without anybody noticing.
"""

from kuma.resources.kinds import serviceinsight


def ready_services(insight: serviceinsight.ServiceInsight, backend: str, before: frozenset[str]) -> frozenset[str]:
    """The services that were ready `before`, and those all of whose connected proxies hold a certificate of the backend.

    While no proxy of a service is connected, as after a restart of ours, one with a certificate is enough: it is shown
    no longer than its proxy is there or a control plane was, so that it tells what was in force. One that was never
    there since, as it left long before, must not open a plaintext window.
    """
    return before | {name for name, service in insight.services.items() if _is_ready(service, backend)}


def _is_ready(service: serviceinsight.Service, backend: str) -> bool:
    count = service.dataplanes or serviceinsight.DataplaneStat()
    return service.issued_backends.get(backend, 0) >= max(count.online, 1)
