"""Which services are ready for mutual TLS while a mesh still lets plaintext in.

Source: Kuma's documentation, "Mutual TLS" (permissive mode): clients stay with plaintext until every proxy of a service
has a certificate.
"""

from kuma.resources.kinds import serviceinsight


def ready_services(insight: serviceinsight.ServiceInsight, backend: str, before: frozenset[str]) -> frozenset[str]:
    """Services all of whose connected proxies hold a certificate of the backend in force.

    While none is connected, one that was ready `before` stays so, and so is one whose proxies all had such a certificate
    when they were last seen: a restart, be it ours, must not open a plaintext window.
    """
    out = set()
    for name, service in insight.services.items():
        count = service.dataplanes or serviceinsight.DataplaneStat()
        issued = service.issued_backends.get(backend, 0)
        if issued >= count.online and (count.online or name in before or issued >= count.total > 0):
            out.add(name)
    return frozenset(out)
