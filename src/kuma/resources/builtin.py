"""The core kinds of this program, as one tuple; policies add theirs through `policies.discovery`."""

from typing import Any

from kuma.resources import kind as kinds
from kuma.resources.kinds import (
    config,
    dataplane,
    dataplaneinsight,
    hostnamegenerator,
    mesh,
    meshexternalservice,
    meshidentity,
    meshinsight,
    meshmultizoneservice,
    meshopentelemetrybackend,
    meshservice,
    meshtrust,
    meshzoneaddress,
    secret,
    serviceinsight,
    workload,
    zone,
    zoneegress,
    zoneegressinsight,
    zoneingress,
    zoneingressinsight,
    zoneinsight,
)

CORE_KINDS: tuple[kinds.Kind[Any], ...] = (
    config.KIND,
    dataplane.KIND,
    dataplaneinsight.KIND,
    hostnamegenerator.KIND,
    mesh.KIND,
    meshexternalservice.KIND,
    meshidentity.KIND,
    meshinsight.KIND,
    meshmultizoneservice.KIND,
    meshopentelemetrybackend.KIND,
    meshservice.KIND,
    meshtrust.KIND,
    meshzoneaddress.KIND,
    secret.KIND,
    secret.GLOBAL_KIND,
    serviceinsight.KIND,
    workload.KIND,
    zone.KIND,
    zoneegress.KIND,
    zoneegressinsight.KIND,
    zoneingress.KIND,
    zoneingressinsight.KIND,
    zoneinsight.KIND,
)
"""Every core kind, sorted by file."""
