"""Documents made fit to be applied elsewhere: what `kumactl export` changes in a resource before it prints it.

A CA that a control plane has made itself becomes one that is provided, by the secrets of the same names, so that the
certificates of a mesh stay valid after the move. Source: Kuma's documentation, "Federate a zone control plane".
"""

from collections.abc import Iterable, Mapping
from typing import Any

ORIGIN = "kuma.io/origin"
CONTROL_PLANES_OWN = frozenset({"envoy-admin-ca", "inter-cp-ca"})
"""Global secrets that every control plane makes for itself; they mean nothing to another one."""
LAST_PREFIX = "user-token-signing-key"
"""Global secrets to be applied after all others: with them the token in use may stop to be one."""
_SERVERS_METADATA = frozenset({"resourceVersion", "ownerReferences", "uid", "generation", "managedFields"})


def universal(document: Mapping[str, Any], *, keep_origin: bool) -> dict[str, Any]:
    """A REST document as it is exported; without the label of its origin where it gets a new one."""
    shown = dict(document)
    if shown.get("type") == "Mesh":
        shown = _portable_mesh(shown, str(shown.get("name", "")))
    if not keep_origin:
        _drop_origin(shown)
    return shown


def kubernetes(document: Mapping[str, Any], *, keep_origin: bool) -> dict[str, Any]:
    """A Kubernetes object as it is exported: without what the cluster that held it has added."""
    shown = dict(document)
    metadata = {key: value for key, value in (shown.get("metadata") or {}).items() if key not in _SERVERS_METADATA}
    if not keep_origin:
        _drop_origin(metadata)
    shown["metadata"] = metadata
    if shown.get("kind") == "Mesh":
        shown["spec"] = _portable_mesh(shown.get("spec") or {}, str(metadata.get("name", "")))
    return shown


def in_namespace(document: Mapping[str, Any], namespace: str) -> bool:
    """Whether a Kubernetes object is in a namespace, or in none because its kind belongs to the whole cluster."""
    return (document.get("metadata") or {}).get("namespace") in (None, "", namespace)


def order_global_secrets(secrets: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The global secrets worth taking along, by name, signing keys of user tokens last."""
    kept = (each for each in secrets if each.get("name") not in CONTROL_PLANES_OWN)
    return sorted(kept, key=lambda each: (str(each.get("name", "")).startswith(LAST_PREFIX), str(each.get("name", ""))))


def _drop_origin(holder: dict[str, Any]) -> None:
    labels = {key: value for key, value in (holder.get("labels") or {}).items() if key != ORIGIN}
    if labels:
        holder["labels"] = labels
    else:
        holder.pop("labels", None)


def _portable_mesh(spec: Mapping[str, Any], mesh: str) -> dict[str, Any]:
    """A Mesh whose policies travel beside it, so it gets no initial ones, and whose built-in CAs become provided."""
    shown = {**spec, "skipCreatingInitialPolicies": ["*"]}
    mtls = spec.get("mtls") or {}
    backends = mtls.get("backends") or []
    if any(each.get("type") == "builtin" for each in backends):
        provided = [_provided(each, mesh) for each in backends]
        # The secrets follow the Mesh, so they cannot be there yet when it is checked.
        shown["mtls"] = {**mtls, "backends": provided, "skipValidation": True}
    return shown


def _provided(backend: Mapping[str, Any], mesh: str) -> Mapping[str, Any]:
    if backend.get("type") != "builtin":
        return backend
    name = backend.get("name", "")
    conf = {part: {"secret": f"{mesh}.ca-builtin-{part}-{name}"} for part in ("cert", "key")}
    return {**backend, "type": "provided", "conf": conf}
