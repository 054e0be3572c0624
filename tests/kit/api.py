"""The REST API of a control plane in this process: real store, real use cases, no socket."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kuma.base import errors
from kuma.compiler import compile
from kuma.legacy_policies import discovery as legacy
from kuma.mesh import view
from kuma.policies import discovery as policies
from kuma.resources import builtin, codec
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.security import access
from kuma.servers.rest import app, control_plane
from kuma.servers.rest.inspecting import envoy_admin
from kuma.services import resources
from kuma.services.defaults import starting as defaults
from kuma.services.policies import advice as policy_advice
from kuma.services.policies import matches as policy_matches
from kuma.services.proxies import inspection
from kuma.services.rules import dataplane_rules, mesh_rules, rate_limit_rules, zone_rules
from kuma.services.rules import role as roles
from kuma.services.trust import signing_keys, tokens
from kuma.store import memory
from tests.kit import asgi, worlds

LOCAL = {"host": "127.0.0.1:5681", "content-type": "application/json"}
"""Headers of a client on the same machine: the admin."""

REMOTE = {"host": "cp.example.com:5681", "content-type": "application/json"}
"""Headers of a client that came by another name: nobody in particular."""


def now() -> datetime:
    return datetime.now(UTC)


def known_kinds() -> catalogs.Catalog:
    return catalogs.Catalog(builtin.CORE_KINDS + policies.kinds() + legacy.kinds())


class Envoys:
    """Answers for every Envoy, saying what it was asked."""

    async def config_dump(self, proxy: envoy_admin.Proxy, include_eds: bool = False, port: int = 0) -> bytes:
        return json.dumps({"name": proxy.meta.name, "eds": include_eds, "port": port}).encode()

    async def stats(
        self, proxy: envoy_admin.Proxy, as_json: bool = False, port: int = 0, used_only: bool = False
    ) -> bytes:
        return f"stats of {proxy.meta.name}, json {as_json}, used only {used_only}".encode()

    async def clusters(self, proxy: envoy_admin.Proxy, as_json: bool = False, port: int = 0) -> bytes:
        return f"clusters of {proxy.meta.name}, json {as_json}".encode()


@dataclass
class Api:
    """A control plane's API and what lies under it."""

    store: memory.MemoryStore
    catalog: catalogs.Catalog
    manager: resources.ResourceManager
    defaults: defaults.Defaults
    issuer: tokens.TokenIssuer
    advice: policy_advice.PolicyAdvice
    app: app.RestApp

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = LOCAL) -> asgi.Answer:
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return await asgi.call(self.app, method, path, raw, headers)

    async def get(self, path: str, headers: Mapping[str, str] = LOCAL) -> Any:
        """The document at a path; fails the test where the answer is no 200."""
        answer = await self.call("GET", path, headers=headers)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    async def put(self, path: str, document: Mapping[str, Any]) -> asgi.Answer:
        """A write that must succeed."""
        answer = await self.call("PUT", path, document)
        assert answer.status in (200, 201), answer.text
        return answer

    async def load(self, document: Mapping[str, Any]) -> None:
        """Puts a document straight into the store: no labels, no rules, insights allowed."""
        kind = self.catalog.find(document["type"])
        assert kind is not None, f"no kind {document['type']}"
        found = codec.decode(kind, document)
        if kind.defaults is not None:
            found = res.Resource(kind, found.meta, kind.defaults(found.spec), found.status)
        try:
            await self.store.create(found)
        except errors.AlreadyExists:
            current = await self.store.get(found.key)
            meta = res.Meta(found.meta.mesh, found.meta.name, found.meta.labels, version=current.meta.version)
            await self.store.update(res.Resource(kind, meta, found.spec, found.status))


def build(
    role: roles.Role | None = None,
    *,
    plain: bool = False,
    settings: app.Settings | None = None,
    wanted: defaults.Settings | None = None,
    store: Any = None,
) -> Api:
    """An API over a store, an empty one by default. `plain`: resources are just stored, without the rules of their kinds."""
    store, catalog = memory.MemoryStore() if store is None else store, known_kinds()
    own_role = role or roles.Role()
    keys = signing_keys.SigningKeys(store)
    issuer = tokens.TokenIssuer(keys, now)
    made = defaults.Defaults(store, catalog, own_role, keys, issuer, now, wanted or defaults.Settings())
    rules: dict[str, resources.Rules] = {
        "Mesh": mesh_rules.MeshRules(store, now, made.furnish),
        "Dataplane": dataplane_rules.DataplaneRules(store, own_role),
        "Secret": mesh_rules.SecretRules(store),
        "Zone": zone_rules.ZoneRules(store),
        "RateLimit": rate_limit_rules.RateLimitRules(store),
        "ExternalService": rate_limit_rules.ExternalServiceRules(store),
    }
    manager = resources.ResourceManager(store, catalog, own_role, access.StaticAccess(), {} if plain else rules)
    shaping = [*policies.policies(), *legacy.policies()]
    current = compile.Compiler(shaping)

    async def world() -> view.WorldView:
        return await worlds.of_store(store, catalog, current.policy_kinds, own_role.zone or "default")

    shadowed = compile.Compiler(shaping, with_shadow=True)
    judged = None if own_role.is_global else policy_advice.Proxies(world, shaping)
    matches = policy_matches.PolicyMatches(store, catalog, policies.orders())
    advice = policy_advice.PolicyAdvice(store, catalog, matches, judged)
    built = app.build(
        app.Deps(
            manager=manager,
            permits=access.StaticAccess(),
            tokens=tokens.TokenValidator(keys, now),
            issuer=issuer,
            inspector=None if own_role.is_global else inspection.Inspector(store, world, current, shadowed),
            matches=matches,
            advice=advice,
            envoy_admin=Envoys(),
            about=control_plane.About("host", "host-1", "2.14.3", lambda: "cluster-1", gui="/gui"),
            effective_config=lambda: {"mode": own_role.mode.value},
            settings=settings or app.Settings(),
        )
    )
    return Api(store, catalog, manager, made, issuer, advice, built)
