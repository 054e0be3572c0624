"""The builds of a proxy, read from its Envoy node's metadata (keys: Kuma's bootstrap contract)."""

from collections.abc import Mapping
from typing import Any

import kuma
from kuma.resources.kinds import dataplaneinsight as insights

_DEPENDENCY = "version.dependencies."


def version_of(metadata: Mapping[str, Any]) -> insights.Version | None:
    """What agent and Envoy say of themselves, and whether this control plane can work with the agent; None if silent."""
    given = metadata.get("version")
    if not isinstance(given, Mapping):
        return None
    agent, envoy = _section(given, "kumaDp"), _section(given, "envoy")
    number = _text(agent, "version")
    dependencies = {name: str(value) for name, value in _section(given, "dependencies").items()}
    for name, value in _section(metadata, "dynamicMetadata").items():
        if name.startswith(_DEPENDENCY):
            dependencies[name.removeprefix(_DEPENDENCY)] = str(value)
    return insights.Version(
        kuma_dp=insights.KumaDpVersion(
            version=number,
            git_tag=_text(agent, "gitTag"),
            git_commit=_text(agent, "gitCommit"),
            build_date=_text(agent, "buildDate"),
            kuma_cp_compatible=is_compatible(number, kuma.VERSION),
        ),
        envoy=insights.EnvoyVersion(
            version=_text(envoy, "version"),
            build=_text(envoy, "build"),
            kuma_dp_compatible=envoy.get("kumaDpCompatible") is True,
        ),
        dependencies=dependencies,
    )


def is_compatible(agent: str, control_plane: str) -> bool:
    """Whether agent and control plane work together: same major version, at most two minor versions apart.

    Development builds (`dev...`, `unknown`, anything that is no number) are taken to know what they do.
    Source: Kuma's documentation, "Version compatibility".
    """
    ours, theirs = _numbers(control_plane), _numbers(agent)
    if ours is None or theirs is None:
        return True
    return ours[0] == theirs[0] and abs(ours[1] - theirs[1]) <= 2


def _numbers(version: str) -> tuple[int, int] | None:
    parts = version.removeprefix("v").split(".")
    if len(parts) < 2 or not all(each.isascii() and each.isdigit() and len(each) < 10 for each in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])


def _section(under: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = under.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(under: Mapping[str, Any], key: str) -> str:
    value = under.get(key)
    return value if isinstance(value, str) else ""
