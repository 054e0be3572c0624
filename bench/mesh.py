"""What it costs to advance the picture of a mesh: `python -m bench.mesh`.

A mesh of 2,000 MeshServices whose 10,000 proxies join one by one, five to a service, all addresses virtual. Each cost
is that of one edit by itself, in microseconds of one core.
"""

import statistics
import time
from collections.abc import Iterable
from typing import Any

from bench import figures
from kuma.mesh import view
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, labelselector, mesh, meshservice, statuses

SERVICES = 2000
PROXIES = 10000
SHOWN = 1000


def service(number: int, *, counted: int = 0, protocol: str = "http") -> res.Resource[Any]:
    """A MeshService as the control plane makes it; one in ten selects by a label of the Dataplane."""
    name = f"service-{number}"
    tags = None if number % 10 == 0 else {"kuma.io/service": name}
    chosen = labelselector.LabelSelector(match_labels={"kuma.io/workload": name}) if tags is None else None
    spec = meshservice.MeshService(
        selector=meshservice.Selector(dataplane_tags=tags, dataplane_labels=chosen),
        ports=(meshservice.Port(name="main", port=8080, app_protocol=protocol),),
        identities=(meshservice.Identity("ServiceTag", name),),
    )
    status = meshservice.MeshServiceStatus(
        vips=(statuses.Vip(f"241.0.{number // 250}.{number % 250}"),),
        dataplane_proxies=meshservice.DataplaneProxies(total=counted),
    )
    labels = {"kuma.io/display-name": name, "kuma.io/zone": "default", "kuma.io/origin": "zone"}
    return res.Resource(meshservice.KIND, res.Meta("default", name, labels), spec, status)


def proxy(number: int) -> res.Resource[Any]:
    """A proxy under transparent proxying."""
    name = f"service-{number % SERVICES}"
    tags = {"kuma.io/service": name, "kuma.io/protocol": "http", "kuma.io/zone": "default", "version": "v1"}
    address = f"10.{number // 62500}.{number // 250 % 250}.{number % 250}"
    networking = dataplane.Networking(
        address=address,
        inbound=(dataplane.Inbound(port=8080, tags=tags),),
        transparent_proxying=dataplane.TransparentProxying(redirect_port_inbound=15006, redirect_port_outbound=15001),
    )
    labels = {"kuma.io/workload": name, "kuma.io/zone": "default", "team": "a"}
    return res.Resource(
        dataplane.KIND, res.Meta("default", f"proxy-{number}", labels), dataplane.Dataplane(networking=networking)
    )


class Mesh:
    """A picture that is advanced, and what that took."""

    def __init__(self) -> None:
        self.world = view.WorldView(frozenset())

    def write(self, *resources: res.Resource[Any]) -> float:
        """Microseconds of one advance."""
        begin = time.perf_counter()
        self.world, _ = self.world.advance([view.Edit(each) for each in resources])
        return 1e6 * (time.perf_counter() - begin)

    def medians(self, resources: Iterable[res.Resource[Any]]) -> float:
        """The median over edits one by one."""
        return statistics.median([self.write(each) for each in resources])


def run() -> list[figures.Figure]:
    """Microseconds of each sort of edit."""
    mode = mesh.MeshServices(mode=mesh.MeshServicesMode.EXCLUSIVE)
    whole = res.Resource(mesh.KIND, res.Meta("", "default"), mesh.Mesh(mesh_services=mode))
    services, proxies = [service(each) for each in range(SERVICES)], [proxy(each) for each in range(PROXIES)]
    made, at_once = Mesh(), Mesh()
    made.write(whole)
    rows = [("2,000 MeshServices at once", made.write(*services))]
    joined = [made.write(each) for each in proxies]
    rows += [
        ("one of the first 1,000 proxies joins", statistics.median(joined[:SHOWN])),
        ("one of the last 1,000 of 10,000 proxies joins", statistics.median(joined[-SHOWN:])),
        ("a proxy leaves and joins", made.medians(each for pair in _leaving(proxies[:SHOWN]) for each in pair)),
        ("a status counts its proxies", made.medians(service(each, counted=5) for each in range(SHOWN))),
        ("a MeshService changes its protocol", made.medians(service(each, protocol="tcp") for each in range(100))),
        ("everything at once", at_once.write(whole, *services, *proxies)),
    ]
    picture = made.world.meshes["default"]
    listing = []
    for each in proxies[:SHOWN]:
        begin = time.perf_counter()
        picture.outbounds_of(each, transparent=True)
        listing.append(1e6 * (time.perf_counter() - begin))
    rows.append(("outbounds of a proxy", statistics.median(listing)))
    return [figures.Figure(f"mesh: {name}", value, "us") for name, value in rows]


def _leaving(proxies: Iterable[res.Resource[Any]]) -> Iterable[tuple[res.Resource[Any], res.Resource[Any]]]:
    """Each proxy without its inbound, then with it."""
    for each in proxies:
        yield res.Resource(each.kind, each.meta, dataplane.Dataplane()), each


if __name__ == "__main__":
    print(figures.table(run()))
