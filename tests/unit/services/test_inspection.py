"""What is shown of a proxy that gets no configuration itself."""

import dataclasses

import pytest

from kuma.base import errors
from kuma.compiler import compile
from kuma.mesh import view
from kuma.plan import proxy
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight
from kuma.services.proxies import inspection
from kuma.store import memory
from tests.kit import worlds


async def test_a_proxy_that_its_identity_cannot_name_has_no_configuration() -> None:
    spec = {
        "selector": {"dataplane": {"matchLabels": {}}},
        "spiffeID": {"path": '/{{ label "team" }}'},
        "provider": {"type": "Spire"},
    }
    ready = conditions.Status((conditions.Condition("Ready", "True", "Ready", ""),))
    identity = dataclasses.replace(worlds.resource({"type": "MeshIdentity", "name": "i", "spec": spec}), status=ready)
    store = memory.MemoryStore()
    seen = dataplaneinsight.DataplaneInsight()
    await store.create(worlds.a_mesh())
    await store.create(res.Resource(dataplaneinsight.KIND, res.Meta("m", "web"), seen))

    async def world() -> view.WorldView:
        return worlds.world([worlds.a_mesh(), identity, worlds.a_dataplane("web", "web")])

    compiler = compile.Compiler(worlds.POLICIES)
    with pytest.raises(errors.Unavailable, match="no certificate for web"):
        await inspection.Inspector(store, world, compiler, compiler).config_of("m", "web", shadow=False)


def test_what_stands_in_a_secret_is_not_shown() -> None:
    tls = {"enabled": True, "caCert": {"secret": "roots"}, "serverName": "shown"}
    tags = {"kuma.io/service": "out"}
    networking = {"address": "1.1.1.1:443", "tls": tls}
    external = worlds.resource({"type": "ExternalService", "name": "out", "tags": tags, "networking": networking})
    secret = worlds.resource({"type": "Secret", "name": "roots", "data": "cm9vdHM="})
    web = worlds.a_dataplane("web", "web", outbounds={"out": 1000})
    picture = worlds.world([worlds.a_mesh(), external, secret, web]).meshes["m"]
    subject = proxy.facts_of(picture.dataplanes["web"], {})
    shown = repr(inspection.configuration(compile.Compiler(worlds.POLICIES), picture, subject))
    assert "'trustedCa': {'inlineBytes': 'W3JlZGFjdGVkXQ=='}" in shown
    assert "shown" in shown
    assert "cm9vdHM=" not in shown
    assert "roots" not in repr(picture.of_kind("Secret")[0].spec)
