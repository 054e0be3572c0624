"""Family `multizone_validation`: who may write what, with which labels, on a global control plane and in its zones.

Each case is one PUT. The cases for Kubernetes zones go through admission webhooks, which do not exist yet.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml

from kuma.services.rules import role as roles
from tests.conformance import outcome
from tests.kit import api as kit

MESH = "multizone-label-validation"
ROLES = {
    "global": roles.Role(mode=roles.Mode.GLOBAL, zone=""),
    "zone-uni": roles.Role(zone="kuma-4", federated=True),
}


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """Sends the case's resource and compares status line and body with the golden answer."""
    role = ROLES.get(case["target"])
    if role is None:
        return outcome.unsupported("admission webhooks do not exist yet")
    document = yaml.safe_load((folder / case["input"]).read_text())
    if kit.known_kinds().find(document["type"]) is None:
        return outcome.unsupported(f"no kind {document['type']}")
    head, _, body = (folder / case["golden"]).read_text().partition("\n\n")
    answer = asyncio.run(_put(role, case["path"], document))
    status = int(head.split()[1])
    if answer.status != status:
        return outcome.failed(f"status {answer.status}, expected {status}: {answer.text[:300]}")
    if json.loads(answer.body) != json.loads(body):
        return outcome.failed(f"body {answer.text}, expected {body}"[:2000])
    return outcome.PASSED


async def _put(role: roles.Role, path: str, document: dict[str, Any]) -> Any:
    api = kit.build(role)
    backend = {"name": "ca-1", "type": "builtin"}
    await api.load({"type": "Mesh", "name": MESH, "mtls": {"enabledBackend": "ca-1", "backends": [backend]}})
    return await api.call("PUT", f"/meshes/{MESH}/{path}/{document['name']}", document)
