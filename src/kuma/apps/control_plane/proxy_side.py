"""Everything that serves proxies: what they get, what is known of them, and their port. A global control plane has none.

The port answers `/bootstrap` for agents and the gRPC services for Envoy.
"""

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from kuma.apps.control_plane import measured_app, ports, security, tls_contexts
from kuma.apps.control_plane.settings import tree as configuration
from kuma.base import errors
from kuma.compiler import compile, health, zone_egress
from kuma.envoy import bootstrap
from kuma.legacy_policies import discovery as legacy_policies
from kuma.mesh import view
from kuma.policies import discovery as policies
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight, zoneegressinsight
from kuma.security import server_certificate, tokens
from kuma.servers import xds
from kuma.servers.agents import app as agents_app
from kuma.servers.agents import bootstrap as agents_bootstrap
from kuma.servers.agents import deps as agents_deps
from kuma.servers.xds import deps as xds_deps
from kuma.services import leader, metrics, resources
from kuma.services.insights import dataplane_insights, survivors
from kuma.services.policies import advice as policy_advice
from kuma.services.proxies import cleanup, credentials, inspection, proxies, publisher, service_health
from kuma.services.trust import identities, mesh_identities
from kuma.services.trust import tokens as token_services
from kuma.store import protocol as stores

_LOG = structlog.get_logger("control-plane")
_SECONDS = 1e-9


class ProxySide:
    """Publisher, insights and sessions of proxies. `is_shared`: other control planes may be on the store.

    `proxies_judged` is what is known of them to those who judge policies.
    """

    def __init__(
        self,
        settings: configuration.Settings,
        manager: resources.ResourceManager,
        secured: security.Security,
        measured: metrics.Metrics,
        clock: tokens.Clock,
        *,
        instance_id: str,
        is_shared: bool,
    ) -> None:
        self._settings = settings
        self._metrics = measured
        self._instance_id = instance_id
        self._clock = clock
        self._store: stores.Store = manager.store
        self._catalog = manager.catalog
        self._role = manager.role
        self._idle_timeout = settings.metrics.dataplane.idle_timeout * _SECONDS
        self._is_shared = is_shared
        self._trusted_first = timedelta(microseconds=settings.core_resources.status.mesh_identity_interval / 1000)
        self._identities = identities.Identities(self._store, clock, trusted_first=self._trusted_first)
        shaping = [*policies.policies(), *legacy_policies.policies()]
        spire = settings.runtime.universal.spire.socket_path
        compiler = compile.Compiler(shaping, spire_socket=spire)
        self.publisher = publisher.Publisher(
            self._store,
            self._catalog,
            compiler,
            zone_egress.ZoneEgressCompiler(shaping),
            self._identities,
            secured.admin_certificates,
            measured,
            zone=self._role.zone,
            environment=self._role.environment,
        )
        self.inspector = inspection.Inspector(
            self._store, self._world, compiler, compile.Compiler(shaping, with_shadow=True, spire_socket=spire)
        )
        self.proxies_judged = policy_advice.Proxies(self._world, shaping)
        self._insights = dataplane_insights.DataplaneInsights(
            self._store,
            instance_id,
            clock,
            interval=settings.xds_server.dataplane_status_flush_interval * _SECONDS,
            subscription_limit=settings.metrics.dataplane.subscription_limit,
            heartbeat=self._idle_timeout / 2 if is_shared else None,
        )
        self._proxies = proxies.Proxies(
            manager,
            self.publisher,
            self._insights,
            self._admission(secured.validator),
            delay=settings.xds_server.dataplane_deregistration_delay * _SECONDS,
        )

    def _admission(self, validator: token_services.TokenValidator) -> credentials.Credentials:
        authn = self._settings.dp_server.authn
        return credentials.Credentials(
            validator if authn.dp_proxy.type != "none" else None,
            validator if authn.zone_proxy.type != "none" else None,
            self._role.zone,
        )

    async def _world(self) -> view.WorldView:
        return self.publisher.world

    async def recover(self) -> None:
        """Before the start: ends what an earlier run left open. On a shared store that is the leader's work."""
        if not self._is_shared:
            with self._finalizing():
                await self._recover()

    async def _recover(self, is_alive: Callable[[str], bool] = lambda instance: False) -> None:
        await self._proxies.recover(is_alive=is_alive)

    def loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs as long as the control plane does."""
        return (
            self.publisher.run(),
            self._identities.run(self.publisher.refresh_key),
            self._insights.run(),
            self._proxies.run(),
        )

    def leading(self) -> Sequence[leader.Work]:
        """What one of the control planes on a store does."""
        known = mesh_identities.IdentityLoop(self._store, self._role.zone, self._clock, self._trusted_first)
        if not self._is_shared:
            return *self._cleanups(), known.run
        dead = survivors.Survivors(self._store, self._instance_id, self._recover, self._idle_timeout, self._finalizing)
        return *self._cleanups(), known.run, dead.run

    def _cleanups(self) -> Sequence[leader.Work]:
        ages, measures = self._settings.runtime.universal, self._metrics
        dataplanes = self._cleanup(dataplaneinsight.KIND, ages.dataplane_cleanup_age, lambda: measures.loop("dp_gc"))
        egresses = self._cleanup(
            zoneegressinsight.KIND, ages.zone_resource_cleanup_age, lambda: measures.loop("zone_gc")
        )
        return dataplanes.run, egresses.run

    def _cleanup(
        self, kind: kinds.Kind[Any], age: int, measured: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> cleanup.Cleanup:
        return cleanup.Cleanup(self._store, self._clock, timedelta(microseconds=age / 1000), measured, kind=kind)

    def _finalizing(self) -> contextlib.AbstractContextManager[None]:
        """Times the closing of streams that nobody has open any more."""
        return self._metrics.loop("sub_finalizer")

    def retire(self) -> None:
        """The control plane stops: proxies go elsewhere, and none is removed for that."""
        self._proxies.retire()

    async def flush(self) -> None:
        """Writes the last counts of proxies, where the store is there to take them."""
        try:
            await self._insights.flush()
        except errors.Unavailable as failure:
            _LOG.warning("the last counts of proxies could not be written", error=str(failure))

    def port(self) -> ports.DpPort:
        """What answers on the data plane port; BadRequest where its certificate cannot be used."""
        dp = self._settings.dp_server
        certificate = server_certificate.load_pair(Path(dp.tls_cert_file), Path(dp.tls_key_file)).cert_pem
        xds_host = self._settings.bootstrap_server.params.xds_host
        if xds_host:
            _require_covered(xds_host, certificate)
        agents = agents_app.build(self._agents(certificate))
        return ports.DpPort(
            agents=measured_app.MeasuredApp(agents, self._metrics.dp_server, agents_app.route_of),
            grpc=xds.build(self._xds()),
            tls=tls_contexts.server_context(dp),
            closing=self._metrics.dp_server_shutdown,
        )

    def _agents(self, certificate: bytes) -> agents_deps.Deps:
        params, dp = self._settings.bootstrap_server.params, self._settings.dp_server
        template = params.corefile_template_path
        return agents_deps.Deps(
            resources=self._store,
            catalog=self._catalog,
            goodbye=self._proxies.goodbye,
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
                gateway_max_connections=self._settings.proxy.gateway.global_downstream_max_connections,
            ),
            dataplane_token_required=dp.authn.dp_proxy.type != "none",
            zone_token_required=dp.authn.zone_proxy.type != "none",
            corefile_template=Path(template).read_bytes() if template else None,
            observe=lambda path, status: self._metrics.answered("bootstrap", status),
        )

    def _xds(self) -> xds_deps.Deps:
        return xds_deps.Deps(
            proxies=self._proxies,
            instance_id=self._instance_id,
            health=self._health() if self._settings.dp_server.hds.enabled else None,
            refused=lambda reason: self._metrics.refused("xds", reason),
            backoff=self._settings.xds_server.nack_backoff * _SECONDS,
            ads=self._metrics.xds,
            hds=self._metrics.hds,
        )

    def _health(self) -> xds_deps.Health:
        hds = self._settings.dp_server.hds
        checks = hds.check_defaults

        async def find(key: res.Key) -> res.Resource[Any] | None:
            try:
                return await self._store.get(key)
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
            report=lambda key, report: service_health.report_health(self._store, key, report),
            refresh_interval=hds.refresh_interval * _SECONDS,
        )


def _require_covered(host: str, certificate: bytes) -> None:
    """BadRequest unless agents that are told to dial `host` will find it in the certificate."""
    try:
        agents_bootstrap.check_xds_host(host, certificate)
    except ValueError as problem:
        raise errors.BadRequest(f"could not register Bootstrap: {problem}") from None
