"""The loop that writes what destinations have, built from the settings. A global control plane has none."""

from datetime import timedelta

from kuma.apps.control_plane.settings import tree as configuration
from kuma.resources import catalog as catalogs
from kuma.security import tokens
from kuma.services import metrics
from kuma.services.destinations import drafting, legacy_vips, loop, picture, propagation
from kuma.services.rules import role as roles
from kuma.store import protocol as stores


def build(
    settings: configuration.Settings,
    store: stores.Store,
    catalog: catalogs.Catalog,
    role: roles.Role,
    clock: tokens.Clock,
    measured: metrics.Metrics,
) -> loop.DestinationLoop:
    """The loop; it works for a control plane that leads."""
    ipam, dns, experimental = settings.ipam, settings.dns_server, settings.experimental
    own = drafting.Settings(
        cidrs={
            picture.MESH_SERVICE: ipam.mesh_service.cidr,
            picture.EXTERNAL: ipam.mesh_external_service.cidr,
            picture.MULTI_ZONE: ipam.mesh_multi_zone_service.cidr,
        },
        legacy=legacy_vips.Settings(
            cidr=dns.cidr,
            domain=dns.domain,
            of_services=dns.service_vip_enabled,
            tag_first=experimental.use_tag_first_virtual_outbound_model,
        ),
        grace=timedelta(microseconds=settings.mesh_service.deletion_grace_period / 1000),
        untagged=experimental.inbound_tags_disabled,
        propagated=propagation.Settings(
            enabled=settings.mesh_service.label_propagation.enabled,
            allowed=frozenset(settings.mesh_service.label_propagation.allowed_label_keys),
        ),
    )
    return loop.DestinationLoop(store, catalog, role, own, clock, measured)
