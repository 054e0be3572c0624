"""How the application's traffic is redirected into the proxy, as told to the control plane.

The rules themselves are set by the transparent proxy's installer; here its settings are only passed on.
"""

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kuma.apps.dataplane.failure import AgentError

_DEFAULT: Mapping[str, Any] = {
    "ipFamilyMode": "dualstack",
    "redirect": {
        "inbound": {"enabled": True, "port": 15006},
        "outbound": {"enabled": True, "port": 15001},
    },
}
_KNOWN = ("inbound", "outbound", "vnet")


def read_redirection(files: Sequence[str], dns_enabled: bool, dns_port: int) -> dict[str, Any]:
    """The setting with every file laid over the one before; DNS is the agent's own word."""
    out: dict[str, Any] = copy.deepcopy(dict(_DEFAULT))
    for each in files:
        _lay_over(out, _read(each), each)
    out["redirect"]["dns"] = {"enabled": dns_enabled, "port": dns_port}
    return out


def _read(path: str) -> Any:
    import yaml

    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AgentError(f"failed to read transparent proxy config {path}: {error}") from error


def _lay_over(out: dict[str, Any], upper: Any, path: str) -> None:
    if upper is None:
        return
    if not isinstance(upper, dict) or not isinstance(upper.get("redirect", {}), dict):
        raise AgentError(f"failed to read transparent proxy config {path}: it is not an object")
    if "ipFamilyMode" in upper:
        out["ipFamilyMode"] = upper["ipFamilyMode"]
    for part in _KNOWN:
        said = upper.get("redirect", {}).get(part)
        if isinstance(said, dict):
            fields = ("networks",) if part == "vnet" else ("enabled", "port")
            out["redirect"].setdefault(part, {}).update({key: said[key] for key in fields if key in said})
