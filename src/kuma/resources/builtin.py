"""The core kinds of this program, as one tuple; policies add theirs through `policies.discovery`."""

from typing import Any

from kuma.resources import kind as kinds
from kuma.resources.kinds import config, dataplane, dataplaneinsight, mesh, meshinsight, secret, serviceinsight

CORE_KINDS: tuple[kinds.Kind[Any], ...] = (
    config.KIND,
    dataplane.KIND,
    dataplaneinsight.KIND,
    mesh.KIND,
    meshinsight.KIND,
    secret.KIND,
    secret.GLOBAL_KIND,
    serviceinsight.KIND,
)
"""Every core kind, sorted by file."""
