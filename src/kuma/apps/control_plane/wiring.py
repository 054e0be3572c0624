"""Builds every part of the control plane and hands each what it needs: the only place that knows them all.

Nothing here decides anything about a mesh. Order of start: resources first, then loops, then ports, so that whoever
connects meets a control plane that can answer.
"""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prometheus_client
import structlog

import kuma
from kuma.apps.control_plane import (
    logging,
    measured_app,
    opening,
    ports,
    settings_mesh,
    settings_servers,
    tls_contexts,
)
from kuma.apps.control_plane import settings as configuration
from kuma.base import errors
from kuma.compiler import compile, health
from kuma.envoy import bootstrap
from kuma.legacy_policies import discovery as legacy_policies
from kuma.policies import discovery as policies
from kuma.resources import builtin
from kuma.resources import catalog as catalogs
from kuma.resources import kind as declarations
from kuma.resources import resource as res
from kuma.resources.kinds import config as configs
from kuma.security import access, keys, server_certificate
from kuma.servers import xds
from kuma.servers.agents import app as agents_app
from kuma.servers.agents import bootstrap as agents_bootstrap
from kuma.servers.agents import deps as agents_deps
from kuma.servers.diagnostics import app as diagnostics_app
from kuma.servers.rest import app as rest_app
from kuma.servers.rest import control_plane as rest_control_plane
from kuma.servers.xds import deps as xds_deps
from kuma.services import (
    admin_certificates,
    dataplane_insights,
    dataplane_rules,
    defaults,
    envoy_admin,
    identities,
    insight_loop,
    inspection,
    leader,
    measured_store,
    mesh_rules,
    metrics,
    proxies,
    publisher,
    rate_limit_rules,
    resources,
    service_health,
    signing_keys,
    survivors,
    tokens,
    zone_rules,
)
from kuma.services import role as roles
from kuma.store import protocol as stores

CLUSTER_ID = res.Key(configs.KIND.name, "", "kuma-cluster-id")

_LOG = structlog.get_logger("control-plane")
_SECONDS = 1e-9


def utc_now() -> datetime:
    """The wall clock of every part."""
    return datetime.now(UTC)


def catalog() -> catalogs.Catalog:
    """Every kind of this build."""
    return catalogs.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy_policies.kinds()])


def enabled_kinds(settings: configuration.Settings) -> catalogs.Catalog:
    """The kinds that the configuration leaves in. Only new ones can be left out, each by its plural."""
    wanted = {*settings.core_resources.enabled, *settings.policies.plugin_policies_enabled}
    return catalogs.Catalog(
        each for each in catalog() if each.envelope is not declarations.Envelope.SPEC or each.plural in wanted
    )


class ControlPlane:
    """A control plane that is built and not yet running."""

    def __init__(self, settings: configuration.Settings, levels: logging.Levels) -> None:
        """Unavailable or BadRequest, in words for the user, where the store or the certificates cannot be used."""
        self.settings = settings
        self.instance_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:4]}"
        self.cluster_id = ""
        self._levels = levels
        self._is_ready = False
        zone = settings.multizone.zone
        self.role = roles.Role(
            mode=roles.Mode(settings.mode),
            zone=zone.name,
            environment=settings.environment,
            federated=settings.mode == "zone" and bool(zone.global_address and zone.name),
            read_only=settings.api_server.read_only,
            origin_label_checked=not zone.disable_origin_label_validation,
        )
        self.metrics = metrics.Metrics(prometheus_client.CollectorRegistry(), zone.name)
        levels.on_line = self.metrics.logged
        self.catalog = enabled_kinds(settings)
        opened = opening.open_store(settings.store, self.catalog, self.instance_id)
        self.store = measured_store.MeasuredStore(opened.store, self.metrics)
        self.leader = leader.Leader(opened.lease, self.metrics.leads)
        self._is_shared = opened.lease is not None
        self._idle_timeout = settings.metrics.dataplane.idle_timeout * _SECONDS
        self._build_security()
        self._build_resources()
        self._build_publishing()

    def _build_security(self) -> None:
        api, dp = self.settings.api_server.authn, self.settings.dp_server.authn
        self.signing_keys = signing_keys.SigningKeys(self.store)
        issuing = {
            "user": api.tokens.enable_issuer,
            "dataplane": dp.dp_proxy.dp_token.enable_issuer,
            "zone": dp.zone_proxy.zone_token.enable_issuer,
        }
        disabled = frozenset(name for name, enabled in issuing.items() if not enabled)
        self.issuer = tokens.TokenIssuer(self.signing_keys, utc_now, disabled)
        self.validator = tokens.TokenValidator(
            self.signing_keys,
            utc_now,
            dataplane=_validator(dp.dp_proxy.dp_token.validator),
            zone=_validator(dp.zone_proxy.zone_token.validator),
            user=_validator(api.tokens.validator),
        )
        self.permits = _access(self.settings.access.static)
        self.identities = identities.Identities(self.store, utc_now)
        self.admin_certificates = admin_certificates.AdminCertificates(self.store, utc_now)
        self.envoy_admin = envoy_admin.EnvoyAdmin(
            self.admin_certificates, self.settings.bootstrap_server.params.admin_port
        )

    def _build_resources(self) -> None:
        own, api = self.settings.defaults, self.settings.api_server.authn
        self.defaults = defaults.Defaults(
            self.store,
            self.catalog,
            self.role,
            self.signing_keys,
            self.issuer,
            utc_now,
            defaults.Settings(
                skip_mesh_creation=own.skip_mesh_creation,
                skip_tenant_resources=own.skip_tenant_resources,
                skip_hostname_generators=own.skip_hostname_generators,
                create_mesh_routing_resources=own.create_mesh_routing_resources,
                user_tokens=api.type == "tokens",
                bootstrap_admin_token=api.tokens.bootstrap_admin_token,
            ),
        )
        unsafe = self.settings.store.unsafe_delete
        rules: dict[str, resources.Rules] = {
            "Mesh": mesh_rules.MeshRules(self.store, utc_now, self.defaults.furnish, unsafe),
            "Secret": mesh_rules.SecretRules(self.store, unsafe),
            "Dataplane": dataplane_rules.DataplaneRules(self.store, self.role),
            "Zone": zone_rules.ZoneRules(self.store, unsafe),
            "RateLimit": rate_limit_rules.RateLimitRules(self.store),
            "ExternalService": rate_limit_rules.ExternalServiceRules(self.store),
        }
        self.manager = resources.ResourceManager(self.store, self.catalog, self.role, self.permits, rules)
        self.insight_loop = insight_loop.InsightLoop(
            self.store,
            self.catalog,
            dns_domain=self.settings.dns_server.domain,
            vip_port=self.settings.dns_server.service_vip_port,
            measured=self.metrics.insight_round,
        )

    def _build_publishing(self) -> None:
        settings = self.settings.xds_server
        compiler = compile.Compiler([*policies.policies(), *legacy_policies.policies()])
        self.publisher = publisher.Publisher(
            self.store, self.catalog, compiler, self.identities, self.admin_certificates, self.metrics
        )
        self.insights = dataplane_insights.DataplaneInsights(
            self.store,
            self.instance_id,
            utc_now,
            interval=settings.dataplane_status_flush_interval * _SECONDS,
            subscription_limit=self.settings.metrics.dataplane.subscription_limit,
            heartbeat=self._idle_timeout / 2 if self._is_shared else None,
        )
        authenticated = self.settings.dp_server.authn.dp_proxy.type != "none"
        self.proxies = proxies.Proxies(
            self.manager,
            self.publisher,
            self.insights,
            self.validator if authenticated else None,
            delay=settings.dataplane_deregistration_delay * _SECONDS,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then ends cleanly. ExceptionGroup or KumaError where a part fails."""
        try:
            await self.leader.stand()
            if self.leader.is_leading:
                await self.defaults.ensure_started()
            self.cluster_id = await _cluster_id(self.store)
            self.metrics.describe_control_plane(kuma.VERSION, self.instance_id, self.cluster_id)
            if not self._is_shared:
                await self.proxies.recover()
            async with _running(self._loops()):
                await self.publisher.ready.wait()
                async with ports.listening(self._ports(), self.settings):
                    self._is_ready = True
                    _LOG.info("control plane is ready", instance=self.instance_id, version=kuma.VERSION)
                    await stop.wait()
                    self._is_ready = False
                    self.proxies.retire()
                    _LOG.info("shutting down")
            await self._flush_insights()
        finally:
            await self.store.close()

    async def _flush_insights(self) -> None:
        try:
            await self.insights.flush()
        except errors.Unavailable as failure:
            _LOG.warning("the last counts of proxies could not be written", error=str(failure))

    def _loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (
            self.publisher.run(),
            self.identities.run(self.publisher.refresh_key),
            self.insights.run(),
            self.proxies.run(),
            self.leader.run(),
            self.leader.lead(*self._leading()),
        )

    def _leading(self) -> Sequence[leader.Work]:
        """What one of the control planes on a store does."""
        if not self._is_shared:
            return (self.insight_loop.run,)

        async def recover(is_alive: Callable[[str], bool]) -> None:
            await self.proxies.recover(is_alive=is_alive)

        cleaning = survivors.Survivors(self.store, self.instance_id, recover, self._idle_timeout)
        return self.insight_loop.run, self.defaults.run, cleaning.run

    def _ports(self) -> ports.Ports:
        api, dp = self.settings.api_server, self.settings.dp_server
        certificate = _dp_certificate(self.settings)
        xds_host = self.settings.bootstrap_server.params.xds_host
        if xds_host:
            _require_covered(xds_host, certificate)
        rest, agents = rest_app.build(self._rest()), agents_app.build(self._agents(certificate.cert_pem))
        return ports.Ports(
            rest=measured_app.MeasuredApp(rest, self.metrics.api_server, rest.route_of),
            agents=measured_app.MeasuredApp(agents, self.metrics.dp_server, agents_app.route_of),
            grpc=xds.build(self._xds()),
            diagnostics=diagnostics_app.build(
                diagnostics_app.Dependencies(
                    is_ready=lambda: self._is_ready,
                    registry=self.metrics.registry,
                    levels=self._levels,
                    before_scrape=lambda: measured_store.count_resources(self.store, self.catalog, self.metrics),
                    debug_endpoints=self.settings.diagnostics.debug_endpoints,
                )
            ),
            dp_tls=tls_contexts.server_context(dp),
            api_tls=tls_contexts.api_context(api) if api.https.enabled else None,
            refused=self.metrics.refused,
        )

    def _rest(self) -> rest_app.Deps:
        api = self.settings.api_server
        return rest_app.Deps(
            manager=self.manager,
            permits=self.permits,
            tokens=self.validator,
            issuer=self.issuer,
            inspector=inspection.Inspector(self.publisher),
            envoy_admin=self.envoy_admin,
            about=rest_control_plane.About(
                hostname=socket.gethostname(),
                instance_id=self.instance_id,
                version=kuma.VERSION,
                cluster_id=lambda: self.cluster_id,
            ),
            effective_config=self.settings.as_config,
            settings=rest_app.Settings(
                localhost_is_admin=api.authn.localhost_is_admin,
                user_tokens=api.authn.type == "tokens",
                client_certificates=api.authn.type == "adminClientCerts",
                cors_allowed_domains=api.cors_allowed_domains,
                base_path=api.base_path,
                read_timeout=api.read_timeout * _SECONDS,
                write_timeout=api.write_timeout * _SECONDS,
                dns_domain=self.settings.dns_server.domain,
                vip_port=self.settings.dns_server.service_vip_port,
                system_namespace=self.settings.store.kubernetes.system_namespace,
            ),
            on_answer=lambda method, template, status: self._count_answer("rest", status),
        )

    def _agents(self, certificate: bytes) -> agents_deps.Deps:
        params, dp = self.settings.bootstrap_server.params, self.settings.dp_server
        template = params.corefile_template_path
        return agents_deps.Deps(
            resources=self.store,
            catalog=self.catalog,
            goodbye=self.proxies.goodbye,
            certificate=certificate,
            params=bootstrap.Params(
                admin_address=params.admin_address,
                admin_port=params.admin_port,
                admin_unix_socket=params.envoy_admin_unix_socket,
                admin_access_log_path=params.admin_access_log_path,
                xds_host=params.xds_host,
                xds_port=params.xds_port,
                xds_connect_timeout=params.xds_connect_timeout,
                xds_max_receive_bytes=params.xds_grpc_max_receive_message_bytes,
                reloadable_tokens=dp.authn.enable_reloadable_tokens,
                hds_enabled=dp.hds.enabled,
                gateway_max_connections=self.settings.proxy.gateway.global_downstream_max_connections,
            ),
            dataplane_token_required=dp.authn.dp_proxy.type != "none",
            zone_token_required=dp.authn.zone_proxy.type != "none",
            corefile_template=Path(template).read_bytes() if template else None,
            observe=lambda path, status: self._count_answer("bootstrap", status),
        )

    def _count_answer(self, boundary: str, status: int) -> None:
        """Statuses of refusals are few and fixed; 404 is a question answered, not a refusal."""
        if status >= 400 and status not in (404, 500):
            self.metrics.refused(boundary, str(status))

    def _xds(self) -> xds_deps.Deps:
        return xds_deps.Deps(
            proxies=self.proxies,
            instance_id=self.instance_id,
            health=self._health() if self.settings.dp_server.hds.enabled else None,
            refused=lambda reason: self.metrics.refused("xds", reason),
            backoff=self.settings.xds_server.nack_backoff * _SECONDS,
            ads=self.metrics.xds,
            hds=self.metrics.hds,
        )

    def _health(self) -> xds_deps.Health:
        hds = self.settings.dp_server.hds
        checks = hds.check_defaults

        async def find(key: res.Key) -> res.Resource[Any] | None:
            try:
                return await self.store.get(key)
            except errors.NotFound:
                return None

        return xds_deps.Health(
            config=health.HealthConfig(
                report_interval=hds.interval * _SECONDS,
                timeout=checks.timeout * _SECONDS,
                interval=checks.interval * _SECONDS,
                no_traffic_interval=checks.no_traffic_interval * _SECONDS,
                healthy_threshold=checks.healthy_threshold,
                unhealthy_threshold=checks.unhealthy_threshold,
            ),
            dataplane=find,
            report=lambda key, healthy: service_health.report_health(self.store, key, healthy),
        )


@contextlib.asynccontextmanager
async def _running(loops: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs loops beside the body; one that fails ends the body, and the end of the body ends them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in loops]
        yield
        for task in tasks:
            task.cancel()


async def _cluster_id(store: stores.Store) -> str:
    """The identity of this control plane, and of all on its store, made at the first start."""
    try:
        found = await store.get(CLUSTER_ID)
    except errors.NotFound:
        made = configs.Config(config=str(uuid.uuid4()))
        try:
            found = await store.create(res.Resource(configs.KIND, res.Meta(mesh="", name=CLUSTER_ID.name), made))
        except errors.AlreadyExists:
            found = await store.get(CLUSTER_ID)  # another control plane was faster
    return str(found.spec.config)


def _validator(settings: settings_servers.TokenValidatorSettings) -> tokens.ValidatorConfig:
    found = []
    for each in settings.public_keys:
        pem = each.key.encode() if each.key else Path(each.key_file).read_bytes()
        found.append(tokens.OfflineKey(each.kid, keys.load_public(pem), each.mesh))
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


def _dp_certificate(settings: configuration.Settings) -> keys.KeyPair:
    """The pair of the data plane port, made in the work directory where none is configured."""
    dp, general = settings.dp_server, settings.general
    own = Path(general.work_dir) / server_certificate.CERT_NAME
    if Path(dp.tls_cert_file) == own or Path(settings.api_server.https.tls_cert_file) == own:
        server_certificate.ensure(Path(general.work_dir), utc_now())
    return server_certificate.load_pair(Path(dp.tls_cert_file), Path(dp.tls_key_file))


def _require_covered(host: str, certificate: keys.KeyPair) -> None:
    """BadRequest unless agents that are told to dial `host` will find it in the certificate."""
    try:
        agents_bootstrap.check_xds_host(host, certificate.cert_pem)
    except ValueError as problem:
        raise errors.BadRequest(f"could not register Bootstrap: {problem}") from None
