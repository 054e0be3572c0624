"""What the demo puts into an empty mesh: mutual TLS, and who may call whom. Everything else is refused."""

from typing import Any

MESH = "default"
MTLS = {"enabledBackend": "demo", "backends": [{"name": "demo", "type": "builtin"}]}
CALLS = (("web", "api"), ("api", "counter"))
"""Who calls whom."""


def permission(caller: str, callee: str) -> dict[str, Any]:
    """Lets one service call another, by the identity in its certificate."""
    identity = {"spiffeID": {"type": "Exact", "value": f"spiffe://{MESH}/{caller}"}}
    return {
        "type": "MeshTrafficPermission",
        "mesh": MESH,
        "name": f"{caller}-to-{callee}",
        "spec": {
            "targetRef": {"kind": "Dataplane", "name": callee},
            "rules": [{"default": {"allow": [identity]}}],
        },
    }


def permissions() -> list[dict[str, Any]]:
    """All permissions of the demo."""
    return [permission(caller, callee) for caller, callee in CALLS]


def with_mtls(mesh: dict[str, Any]) -> dict[str, Any]:
    """The mesh as it is stored, with mutual TLS switched on."""
    kept = {key: value for key, value in mesh.items() if key not in ("creationTime", "modificationTime", "kri")}
    return {**kept, "mtls": MTLS}


def is_set_up(mesh: dict[str, Any]) -> bool:
    """Whether an earlier run (or the user) switched mutual TLS on: then nothing here is ours to write."""
    return bool((mesh.get("mtls") or {}).get("enabledBackend"))
