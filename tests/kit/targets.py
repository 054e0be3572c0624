"""Short ways to make destinations, and proxies behind them."""

from collections.abc import Mapping
from typing import Any

from kuma.mesh import view
from kuma.resources import resource as res
from tests.kit import worlds

HERE = {"kuma.io/zone": "here", "kuma.io/origin": "zone"}
AWAY = {"kuma.io/zone": "away", "kuma.io/origin": "global", "kuma.io/display-name": "api"}


def a_service(
    name: str,
    *ports: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> res.Resource[Any]:
    """A MeshService of this zone, port 80 unless others are given."""
    body = {"selector": {"dataplaneTags": {"kuma.io/service": name}}, "ports": [*ports] or [{"port": 80}], **spec}
    own = {"type": "MeshService", "name": name, "labels": dict(HERE if labels is None else labels), "spec": body}
    return worlds.resource({**own, "status": dict(status)} if status else own)


def an_external(name: str = "ext", *, status: Mapping[str, Any] | None = None) -> res.Resource[Any]:
    """A MeshExternalService, port 443."""
    own = {"type": "MeshExternalService", "name": name, "labels": dict(HERE)}
    own["spec"] = {"match": {"port": 443, "protocol": "http"}, "endpoints": [{"address": "example.com", "port": 443}]}
    return worlds.resource({**own, "status": dict(status)} if status else own)


def a_gathering(*names: tuple[str, str], name: str = "all", port: int = 80) -> res.Resource[Any]:
    """A MeshMultiZoneService that consists of MeshServices, each by zone and name."""
    found = [{"name": one, "zone": zone, "namespace": "", "mesh": "m"} for zone, one in names]
    spec = {"selector": {"meshService": {"matchLabels": {"any": "thing"}}}, "ports": [{"port": port}]}
    return worlds.resource(
        {"type": "MeshMultiZoneService", "name": name, "spec": spec, "status": {"meshServices": found}}
    )


def picture(*resources: res.Resource[Any], **mesh: Any) -> view.MeshView:
    """The picture of a mesh with these fields and resources."""
    return worlds.world([worlds.a_mesh(**mesh), *resources]).meshes["m"]


def a_proxy(name: str, *inbounds: Mapping[str, Any], address: str = "10.0.0.1", **labels: str) -> res.Resource[Any]:
    """A Dataplane with these inbounds."""
    networking = {"address": address, "inbound": list(inbounds)}
    return worlds.resource({"type": "Dataplane", "name": name, "labels": labels, "networking": networking})


def an_inbound(
    service: str = "api", port: int = 80, tags: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """An inbound in REST form."""
    return {"port": port, "tags": {"kuma.io/service": service, **(tags or {})}, **more}
