"""The Dataplane that a proxy brings along: read, rendered, and checked as far as the agent can.

Every other rule is the control plane's, which answers with the field that is wrong.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuma.apps.dataplane.failure import AgentError

Document = Mapping[str, Any]

_VARIABLE = re.compile(r"\{\{[{&]?\s*([\w-]+(?:\.[\w-]+)*)\s*\}")
"""A tag that stands for a value; sections and comments start with a sign."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A Dataplane (or zone proxy) in REST form. `mesh` is empty for zone proxies."""

    document: Document

    @property
    def kind(self) -> str:
        """The type of the resource."""
        return str(self.document.get("type", ""))

    @property
    def mesh(self) -> str:
        """Its mesh."""
        return str(self.document.get("mesh") or "")

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document.get("name") or "")

    def to_json(self) -> str:
        """The text that travels to the control plane, in the bootstrap request and in Envoy's node metadata."""
        return json.dumps(self.document, separators=(",", ":"), default=str)


def read_text(inline: str, path: str) -> str:
    """The unrendered definition: given as text, in a file, or on standard input (`-`)."""
    if inline:
        return inline
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(f"failed to read Dataplane definition from {path}: {error}") from error


def nest_variables(variables: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Variables as the templates see them: `a.b=c` is reached as `{{ a.b }}`; a later pair replaces an earlier one."""
    nested: dict[str, Any] = {}
    for name, value in variables:
        *parents, last = name.split(".")
        at = nested
        for parent in parents:
            inner = at.get(parent)
            if not isinstance(inner, dict):
                inner = at[parent] = {}
            at = inner
        at[last] = value
    return nested


def missing_variables(template: str, variables: Sequence[tuple[str, str]]) -> list[str]:
    """Variables of a mustache template that were not given a value; mustache leaves nothing in their places."""
    given, missing = nest_variables(variables), []
    for name in dict.fromkeys(_VARIABLE.findall(template)):
        at: Any = given
        for part in name.split("."):
            at = at.get(part) if isinstance(at, dict) else None
        if at is None:
            missing.append(name)
    return missing


def render_definition(template: str, variables: Sequence[tuple[str, str]]) -> Definition:
    """The definition that a mustache template spells with these variables; AgentError where it is none."""
    text = template
    if "{{" in template:
        import chevron

        try:
            text = chevron.render(template, nest_variables(variables))
        except chevron.ChevronError as error:
            raise AgentError(f"failed to render Dataplane definition: {error}") from error
    document = _parsed(text)
    if not isinstance(document, dict):
        raise AgentError("failed to parse Dataplane definition: it is not an object")
    return Definition(document)


def _parsed(text: str) -> Any:
    # JSON is YAML, but the YAML reader need not be loaded for it.
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            pass  # YAML's own flow style also starts with a brace
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise AgentError(f"failed to parse Dataplane definition: {error}") from error


def check_kind(definition: Definition, expected: str) -> None:
    """AgentError where the definition is not of the kind that the type of proxy asks for."""
    if definition.kind != expected:
        raise AgentError(f'invalid proxy resource type "{definition.kind}", expected {expected}')
