"""A resource as the Kubernetes object it would be (`?format=k8s`), for those who move it into a cluster.

Source: Kuma's HTTP API; labels other than the mesh stay behind, as there.
"""

from typing import Any

from kuma.base import gotext, labels
from kuma.resources import codec, crds
from kuma.resources import kind as kinds
from kuma.resources import resource as res

_SECRET_TYPES = {"Secret": "system.kuma.io/secret", "GlobalSecret": "system.kuma.io/global-secret"}


def document(resource: res.Resource[Any], namespace: str) -> dict[str, Any]:
    """The object; `namespace` is left out where its kind belongs to the whole cluster."""
    kind, meta = resource.kind, resource.meta
    is_new = kind.envelope is kinds.Envelope.SPEC
    is_secret = kind.name in _SECRET_TYPES
    created = meta.creation_time.replace(microsecond=0)
    metadata: dict[str, Any] = {"name": meta.name}
    if is_secret or crds.is_namespaced(kind):
        metadata["namespace"] = namespace
    metadata["creationTimestamp"] = gotext.format_time(created) if created != res.ZERO_TIME else None
    if meta.mesh and (is_new or is_secret):
        metadata["labels"] = {labels.MESH: meta.mesh}
    spec = codec.encode_spec(resource.spec)
    if is_secret:
        return {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": metadata,
            "data": {"value": spec.get("data", "")},
            "type": _SECRET_TYPES[kind.name],
        }
    shown: dict[str, Any] = {"kind": kind.name, "apiVersion": "kuma.io/v1alpha1", "metadata": metadata}
    if meta.mesh and not is_new:
        shown["mesh"] = meta.mesh
    shown["spec"] = spec
    status = codec.status_of(resource)
    if status is not None:
        shown["status"] = codec.encode_spec(status)
    return shown
