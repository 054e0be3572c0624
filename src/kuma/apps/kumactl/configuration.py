"""The file in which kumactl remembers control planes: `~/.kumactl/config`, YAML, mode 0600.

Keys are written in camelCase; snake_case is read too. The first use writes one control plane, `local`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuma.apps.kumactl import documents, grammar, plain_yaml

LOCAL_URL = "http://localhost:5681"

DEFAULT_TEXT = f"""\
contexts:
- controlPlane: local
  name: local
controlPlanes:
- coordinates:
    apiServer:
      url: {LOCAL_URL}
  name: local
currentContext: local
"""
"""The file of a first use."""

_ADD = "Use `kumactl config control-planes add` to add a Control Plane and make it active"
NO_CURRENT = f"active Control Plane is not set. {_ADD}"
BROKEN = f"apparently, configuration is broken. {_ADD}"


@dataclass(slots=True)
class ApiServer:
    """Where a control plane answers and how to prove who asks. File names are kept, never their contents."""

    url: str
    ca_cert_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    skip_verify: bool = False
    headers: list[tuple[str, str]] = field(default_factory=list)
    auth_type: str = ""
    auth_conf: dict[str, str] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """The YAML form, without what is empty."""
        pairs = [{"key": key, "value": value} for key, value in self.headers]
        full = {
            "url": self.url,
            "caCertFile": self.ca_cert_file,
            "clientCertFile": self.client_cert_file,
            "clientKeyFile": self.client_key_file,
            "skipVerify": self.skip_verify,
            "headers": pairs,
            "authType": self.auth_type,
            "authConf": self.auth_conf,
        }
        return {key: value for key, value in full.items() if value}


@dataclass(slots=True)
class Context:
    """A name for a control plane, with defaults that are stored and shown."""

    name: str
    control_plane: str
    mesh: str = ""

    def tree(self) -> dict[str, Any]:
        """The YAML form."""
        tree: dict[str, Any] = {"name": self.name, "controlPlane": self.control_plane}
        return {**tree, "defaults": {"mesh": self.mesh}} if self.mesh else tree


@dataclass(slots=True)
class Configuration:
    """All that the file says. Changed in place by the `config` commands, then saved."""

    control_planes: dict[str, ApiServer] = field(default_factory=dict)
    contexts: list[Context] = field(default_factory=list)
    current: str = ""

    def active(self, context: str = "") -> ApiServer:
        """The control plane to talk to, of the context asked for or the current one; CommandError where there is none."""
        wanted = context or self.current
        if not wanted:
            raise grammar.CommandError(NO_CURRENT)
        if context and all(each.name != context for each in self.contexts):
            known = ", ".join(each.name for each in self.contexts) or "none"
            raise grammar.CommandError(f'there is no context "{context}" in the configuration (known: {known})')
        name = next((each.control_plane for each in self.contexts if each.name == wanted), "")
        if name not in self.control_planes:
            raise grammar.CommandError(BROKEN)
        return self.control_planes[name]

    def remove(self, name: str) -> None:
        """Forgets a control plane and its contexts; the first context left becomes current where that was lost."""
        del self.control_planes[name]
        self.contexts = [each for each in self.contexts if each.control_plane != name]
        if all(each.name != self.current for each in self.contexts):
            self.current = self.contexts[0].name if self.contexts else ""

    def tree(self) -> dict[str, Any]:
        """The YAML form, without what is empty."""
        full = {
            "controlPlanes": [
                {"name": name, "coordinates": {"apiServer": server.tree()}}
                for name, server in self.control_planes.items()
            ],
            "contexts": [each.tree() for each in self.contexts],
            "currentContext": self.current,
        }
        return {key: value for key, value in full.items() if value}


def default() -> Configuration:
    """One control plane on this machine."""
    return Configuration({"local": ApiServer(LOCAL_URL)}, [Context("local", "local")], "local")


def default_path() -> Path:
    """`$HOME/.kumactl/config`."""
    return Path.home() / ".kumactl" / "config"


def load(path: Path) -> Configuration:
    """What the file at `path` says, written first where it is missing; CommandError where it cannot be read."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        fresh = default()
        _write(path, DEFAULT_TEXT)
        return fresh
    except OSError as problem:
        raise grammar.CommandError(f"failed to read configuration: open {path}: {_reason(problem)}") from None
    except UnicodeDecodeError:
        raise grammar.CommandError(f"failed to parse configuration file {path}: it is not UTF-8 text") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Configuration:
    """The configuration that a YAML text holds; `source` names it in errors."""
    tree = plain_yaml.read(text)
    if tree is None:
        tree = _parsed(text, source)
    try:
        return _configuration(tree)
    except (AttributeError, KeyError, TypeError):
        reason = "it does not look like a configuration"
        raise grammar.CommandError(f"failed to parse configuration file {source}: {reason}") from None


def _parsed(text: str, source: str) -> dict[str, Any]:
    import yaml

    try:
        return _camel(documents.from_yaml(text)) or {}
    except yaml.YAMLError as problem:
        raise grammar.CommandError(f"failed to parse configuration file {source}: {_one_line(problem)}") from None


def save(path: Path, wanted: Configuration) -> None:
    """Replaces the file by `wanted`, in one step, readable by its owner alone."""
    _write(path, documents.to_yaml(wanted.tree()))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        beside.replace(path)
    except OSError as problem:
        raise grammar.CommandError(f"failed to write configuration: open {path}: {_reason(problem)}") from None


def _configuration(tree: Mapping[str, Any]) -> Configuration:
    planes = {}
    for each in tree.get("controlPlanes") or []:
        planes[str(each["name"])] = _api_server(((each.get("coordinates") or {}).get("apiServer")) or {})
    contexts = [
        Context(str(each["name"]), str(each.get("controlPlane", "")), str((each.get("defaults") or {}).get("mesh", "")))
        for each in tree.get("contexts") or []
    ]
    return Configuration(planes, contexts, str(tree.get("currentContext") or ""))


def _api_server(tree: Mapping[str, Any]) -> ApiServer:
    return ApiServer(
        url=str(tree.get("url", "")),
        ca_cert_file=str(tree.get("caCertFile", "")),
        client_cert_file=str(tree.get("clientCertFile", "")),
        client_key_file=str(tree.get("clientKeyFile", "")),
        skip_verify=bool(tree.get("skipVerify", False)),
        headers=[(str(each["key"]), str(each.get("value", ""))) for each in tree.get("headers") or []],
        auth_type=str(tree.get("authType", "")),
        auth_conf={str(key): str(value) for key, value in (tree.get("authConf") or {}).items()},
    )


def _camel(tree: Any) -> Any:
    """The same tree with snake_case keys in camelCase, except below `authConf`, whose keys belong to the user."""
    if isinstance(tree, list):
        return [_camel(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    renamed = {}
    for key, value in tree.items():
        name = re.sub(r"_([a-z])", lambda found: found.group(1).upper(), str(key))
        renamed[name] = value if name == "authConf" else _camel(value)
    return renamed


def _reason(problem: OSError) -> str:
    return (problem.strerror or str(problem)).lower()


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())
