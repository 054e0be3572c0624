"""Family `envoy_admin_sanitize`: Envoy's config dump in, the same without secrets out."""

import json
from pathlib import Path
from typing import Any

from kuma.security import redaction
from tests.conformance import outcome


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One dump, compared as a tree with what may be shown of it."""
    made = json.loads(redaction.redact_config_dump((folder / case["input"]).read_bytes()))
    expected = json.loads((folder / case["golden"]).read_bytes())
    if made == expected:
        return outcome.PASSED
    return outcome.failed("\n".join(_differences(expected, made, "$")))


def _differences(expected: Any, made: Any, path: str) -> list[str]:
    if isinstance(expected, dict) and isinstance(made, dict):
        keys = sorted(expected.keys() | made.keys())
        return [line for key in keys for line in _differences(expected.get(key), made.get(key), f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(made, list) and len(expected) == len(made):
        pairs = enumerate(zip(expected, made, strict=True))
        return [line for index, (one, other) in pairs for line in _differences(one, other, f"{path}[{index}]")]
    return [] if expected == made else [f"{path}: expected {str(expected)[:80]}, found {str(made)[:80]}"]
