"""Label and tag keys of Kuma, and the values that have a meaning to the control plane."""

import re

MESH = "kuma.io/mesh"
ORIGIN = "kuma.io/origin"
ZONE = "kuma.io/zone"
ENV = "kuma.io/env"
DISPLAY_NAME = "kuma.io/display-name"
NAMESPACE = "k8s.kuma.io/namespace"
POLICY_ROLE = "kuma.io/policy-role"
PROXY_TYPE = "kuma.io/proxy-type"
EFFECT = "kuma.io/effect"
WORKLOAD = "kuma.io/workload"
MANAGED_BY = "kuma.io/managed-by"
DELETION_GRACE = "kuma.io/deletion-grace-period-started-at"
LISTENER_ZONE_INGRESS = "kuma.io/listener-zoneingress"
LISTENER_ZONE_EGRESS = "kuma.io/listener-zoneegress"
SERVICE_ACCOUNT = "k8s.kuma.io/service-account"

SERVICE_TAG = "kuma.io/service"
PROTOCOL_TAG = "kuma.io/protocol"
ZONE_TAG = "kuma.io/zone"
MESH_TAG = "mesh"

ORIGIN_GLOBAL = "global"
ORIGIN_ZONE = "zone"

_RESERVED = re.compile(r"(^|[./])(kuma\.io|k8s\.kuma\.io)/")


def is_reserved(key: str) -> bool:
    """Whether a label key belongs to Kuma."""
    return _RESERVED.search(key) is not None
