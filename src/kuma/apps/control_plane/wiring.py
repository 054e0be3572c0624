"""Builds every part of the control plane and hands each what it needs: the only place that knows them all.

Nothing here decides anything about a mesh. Order of start: resources first, then loops, then ports, so that whoever
connects meets a control plane that can answer. A global control plane is the same without `proxy_side`.
"""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prometheus_client
import structlog

import kuma
from kuma.apps.control_plane import (
    destinations,
    kinds,
    logging,
    measured_app,
    opening,
    ports,
    proxy_side,
    security,
    tls_contexts,
)
from kuma.apps.control_plane.settings import tree as configuration
from kuma.base import errors
from kuma.policies import discovery as policies
from kuma.resources import resource as res
from kuma.resources.kinds import config as configs
from kuma.servers.diagnostics import app as diagnostics_app
from kuma.servers.rest import app as rest_app
from kuma.servers.rest import control_plane as rest_control_plane
from kuma.services import leader, measured_store, metrics, resources
from kuma.services.defaults import starting as defaults
from kuma.services.insights import insight_loop
from kuma.services.policies import advice as policy_advice
from kuma.services.policies import collector_references
from kuma.services.policies import matches as policy_matches
from kuma.services.rules import dataplane_rules, mesh_rules, rate_limit_rules, zone_rules
from kuma.services.rules import role as roles
from kuma.store import protocol as stores

CLUSTER_ID = res.Key(configs.KIND.name, "", "kuma-cluster-id")
GLOBAL_ZONE = "Global"
"""The value of the label `zone` of a global control plane's metrics, as in Kuma."""

_LOG = structlog.get_logger("control-plane")
_SECONDS = 1e-9
_NOT_SYNCHRONISED = {
    roles.Mode.GLOBAL: "mode global: synchronisation between control planes (KDS) is not in force yet, "
    "so no zone can join; resources are kept under the rules of a global control plane",
    roles.Mode.ZONE: "multizone.zone.globalAddress: synchronisation between control planes (KDS) is not in force yet, "
    "so nothing comes from the global one; resources are kept under the rules of a federated zone",
}


def utc_now() -> datetime:
    """The wall clock of every part."""
    return datetime.now(UTC)


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
        mode = roles.Mode(settings.mode)
        is_global = mode is roles.Mode.GLOBAL
        self.role = roles.Role(
            mode=mode,
            zone="" if is_global else zone.name,
            environment=settings.environment,
            federated=not is_global and bool(zone.global_address),
            read_only=settings.api_server.read_only,
            origin_label_checked=not zone.disable_origin_label_validation,
        )
        label = GLOBAL_ZONE if is_global else zone.name
        self.metrics = metrics.Metrics(prometheus_client.CollectorRegistry(), label)
        levels.on_line = self.metrics.logged
        self.catalog = kinds.enabled(settings)
        opened = opening.open_store(settings.store, self.catalog, self.instance_id)
        self.store = measured_store.MeasuredStore(opened.store, self.metrics)
        self.leader = leader.Leader(opened.lease, self.metrics.leads)
        self._is_shared = opened.lease is not None
        self.security = security.Security(settings, self.store, utc_now)
        self._build_resources()
        self.proxy_side = None if is_global else self._proxy_side()
        judged = self.proxy_side.proxies_judged if self.proxy_side is not None else None
        self.matches = policy_matches.PolicyMatches(self.store, self.catalog, policies.orders())
        self.advice = policy_advice.PolicyAdvice(self.store, self.catalog, self.matches, judged)
        self.insight_loop = self._insight_loop()

    def _build_resources(self) -> None:
        own, api = self.settings.defaults, self.settings.api_server.authn
        self.defaults = defaults.Defaults(
            self.store,
            self.catalog,
            self.role,
            self.security.signing_keys,
            self.security.issuer,
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
        self.manager = resources.ResourceManager(self.store, self.catalog, self.role, self.security.permits, rules)

    def _insight_loop(self) -> insight_loop.InsightLoop:
        return insight_loop.InsightLoop(
            self.store,
            self.catalog,
            dns_domain=self.settings.dns_server.domain,
            vip_port=self.settings.dns_server.service_vip_port,
            timing=insight_loop.Timing(
                self.metrics.insight_round, self.metrics.insights_idle, self.metrics.insights_waited
            ),
            advise=self.advice.of_mesh,
        )

    def _proxy_side(self) -> proxy_side.ProxySide:
        return proxy_side.ProxySide(
            self.settings,
            self.manager,
            self.security,
            self.metrics,
            utc_now,
            instance_id=self.instance_id,
            is_shared=self._is_shared,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then ends cleanly. ExceptionGroup or KumaError where a part fails."""
        side = self.proxy_side
        if self.role.is_global or self.role.federated:
            _LOG.warning(_NOT_SYNCHRONISED[self.role.mode])
        try:
            await self.leader.stand()
            if self.leader.is_leading:
                await self.defaults.ensure_started()
            self.cluster_id = await _cluster_id(self.store)
            self.metrics.describe_control_plane(kuma.VERSION, self.instance_id, self.cluster_id)
            if side is not None:
                await side.recover()
            async with _running(self._loops()):
                if side is not None:
                    await side.publisher.ready.wait()
                async with ports.listening(self._ports(), self.settings):
                    self._is_ready = True
                    _LOG.info("control plane is ready", instance=self.instance_id, version=kuma.VERSION)
                    await stop.wait()
                    self._is_ready = False
                    if side is not None:
                        side.retire()
                    _LOG.info("shutting down")
            if side is not None:
                await side.flush()
        finally:
            await self.store.close()

    def _loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        of_proxies = self.proxy_side.loops() if self.proxy_side is not None else ()
        return (*of_proxies, self.leader.run(), self.leader.lead(*self._leading()))

    def _leading(self) -> Sequence[leader.Work]:
        """What one of the control planes on a store does."""
        of_proxies: Sequence[leader.Work] = ()
        if self.proxy_side is not None:
            reachable = destinations.build(self.settings, self.store, self.catalog, self.role, utc_now, self.metrics)
            of_proxies = (*self.proxy_side.leading(), reachable.run)
        references = collector_references.ReferenceLoop(
            self.store,
            self.catalog,
            self.settings.core_resources.status.mesh_open_telemetry_backend_interval * _SECONDS,
            lambda: self.metrics.loop("motb_status_updater"),
        )
        after_a_turn = (self.defaults.run,) if self._is_shared else ()
        return (self.insight_loop.run, references.run, *after_a_turn, *of_proxies)

    def _ports(self) -> ports.Ports:
        api, dp = self.settings.api_server, self.settings.dp_server
        with_tls: list[tls_contexts.Port] = [api.https] if api.https.enabled else []
        if self.proxy_side is not None:
            with_tls.append(dp)
        tls_contexts.ensure_own_certificate(Path(self.settings.general.work_dir), with_tls, utc_now())
        rest = rest_app.build(self._rest())
        return ports.Ports(
            rest=measured_app.MeasuredApp(rest, self.metrics.api_server, rest.route_of),
            dp=self.proxy_side.port() if self.proxy_side is not None else None,
            diagnostics=diagnostics_app.build(
                diagnostics_app.Dependencies(
                    is_ready=lambda: self._is_ready,
                    registry=self.metrics.registry,
                    levels=self._levels,
                    before_scrape=lambda: measured_store.count_resources(self.store, self.catalog, self.metrics),
                    debug_endpoints=self.settings.diagnostics.debug_endpoints,
                    scraping=self.metrics.scrape,
                )
            ),
            api_tls=tls_contexts.api_context(api) if api.https.enabled else None,
            refused=self.metrics.refused,
        )

    def _rest(self) -> rest_app.Deps:
        api = self.settings.api_server
        return rest_app.Deps(
            manager=self.manager,
            permits=self.security.permits,
            tokens=self.security.validator,
            issuer=self.security.issuer,
            inspector=self.proxy_side.inspector if self.proxy_side is not None else None,
            matches=self.matches,
            advice=self.advice,
            envoy_admin=self.security.envoy_admin,
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
            on_answer=lambda method, template, status: self.metrics.answered("rest", status),
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
