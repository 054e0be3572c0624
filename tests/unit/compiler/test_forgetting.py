"""What a compiler remembers, so that equal things are made once, goes with the mesh that it is about."""

import gc

from kuma.compiler import compile
from kuma.mesh import picture, view
from kuma.plan import proxy
from kuma.policy_engine.matching import index, surroundings
from tests.kit import worlds

REMEMBERED = (picture.MeshView, surroundings.Surroundings, index.PolicyIndex)


def remembered() -> list[int]:
    """How many objects there are of each sort that is made for a mesh."""
    gc.collect()
    alive = [type(each) for each in gc.get_objects()]
    return [alive.count(each) for each in REMEMBERED]


def compiled(world: view.WorldView, compiler: compile.Compiler, mesh: str) -> view.WorldView:
    """A mesh with a proxy and a policy comes, and the proxy is compiled."""
    networking = {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"kuma.io/service": "web"}}]}
    allow = {"targetRef": {"kind": "Mesh"}, "from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]}
    documents = (
        {"type": "Mesh", "name": mesh},
        {"type": "MeshTrafficPermission", "mesh": mesh, "name": "all", "spec": allow},
        {"type": "Dataplane", "mesh": mesh, "name": "web", "networking": networking},
    )
    after, _ = world.advance([view.Edit(worlds.resource(each)) for each in documents])
    subject = proxy.facts_of(after.meshes[mesh].dataplanes["web"], {})
    compiler.shape(after.meshes[mesh], subject, compiler.match(after.meshes[mesh], subject))
    return after


def test_meshes_that_come_and_go_leave_nothing_behind() -> None:
    compiler = compile.Compiler(worlds.POLICIES)
    world = compiled(worlds.world([worlds.a_mesh()]), compiler, "stays")
    before = remembered()
    for name in ("one", "two", "three"):
        world = compiled(world, compiler, name)
    assert all(now >= then + 3 for now, then in zip(remembered(), before, strict=True))
    for name in ("one", "two", "three"):
        world, _ = world.advance([view.Edit(worlds.a_mesh(name), deleted=True)])
    compiler.forget_all_but(world.meshes)
    assert remembered() == before
