"""Who may do what, and the keys behind it, as the settings ask: built once for REST and for proxies."""

from pathlib import Path

from kuma.apps.control_plane.settings import mesh as settings_mesh
from kuma.apps.control_plane.settings import servers as settings_servers
from kuma.apps.control_plane.settings import tree as configuration
from kuma.base import errors
from kuma.security import access, keys
from kuma.security import tokens as claims
from kuma.services.proxies import envoy_admin
from kuma.services.rules import workload_rules
from kuma.services.trust import admin_certificates, signing_keys, tokens
from kuma.store import protocol as stores


class Security:
    """Signing keys, tokens, permissions, and certificates of Envoy's admin interface."""

    def __init__(self, settings: configuration.Settings, store: stores.Store, clock: claims.Clock) -> None:
        """BadRequest where a public key of the settings cannot be read."""
        api, dp = settings.api_server.authn, settings.dp_server.authn
        issuing = {
            "user": api.tokens.enable_issuer,
            "dataplane": dp.dp_proxy.dp_token.enable_issuer,
            "zone": dp.zone_proxy.zone_token.enable_issuer,
        }
        disabled = frozenset(name for name, enabled in issuing.items() if not enabled)
        self.signing_keys = signing_keys.SigningKeys(store)
        self.issuer = tokens.TokenIssuer(self.signing_keys, clock, disabled)
        self.validator = tokens.TokenValidator(
            self.signing_keys,
            clock,
            dataplane=validator_config(dp.dp_proxy.dp_token.validator),
            zone=validator_config(dp.zone_proxy.zone_token.validator),
            user=validator_config(api.tokens.validator),
            names_workload=workload_rules.WorkloadRules(
                store, settings.multizone.zone.name, settings.environment
            ).names,
        )
        self.permits = _access(settings.access.static)
        self.admin_certificates = admin_certificates.AdminCertificates(store, clock)
        self.envoy_admin = envoy_admin.EnvoyAdmin(self.admin_certificates, settings.bootstrap_server.params.admin_port)


def validator_config(settings: settings_servers.TokenValidatorSettings) -> tokens.ValidatorConfig:
    """How tokens of one kind are checked: with the keys in the store, and those of the configuration.

    BadRequest, naming the key by its id, where one cannot be read.
    """
    found = []
    for each in settings.public_keys:
        try:
            pem = each.key.encode() if each.key else Path(each.key_file).read_bytes()
            found.append(tokens.OfflineKey(each.kid, keys.load_public(pem), each.mesh))
        except (OSError, ValueError) as failure:
            raise errors.BadRequest(f'publicKeys: the key "{each.kid}" cannot be used: {failure}') from None
    return tokens.ValidatorConfig(settings.use_secrets, found)


def _access(static: settings_mesh.StaticAccessSettings) -> access.StaticAccess:
    def rule(subjects: settings_mesh.Subjects) -> access.Rule:
        return access.Rule(frozenset(subjects.users), frozenset(subjects.groups))

    return access.StaticAccess(
        admin_resources=rule(static.admin_resources),
        generate_dp_token=rule(static.generate_dp_token),
        generate_user_token=rule(static.generate_user_token),
        generate_zone_token=rule(static.generate_zone_token),
        view_config_dump=rule(static.view_config_dump),
        view_stats=rule(static.view_stats),
        view_clusters=rule(static.view_clusters),
        control_plane_metadata=rule(static.control_plane_metadata),
    )
