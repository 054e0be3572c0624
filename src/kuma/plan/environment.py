"""What the agent found in the `OTEL_...` variables of its environment, without their values.

The control plane decides with it whether a collector may be reached as the environment says. Source: Kuma's bootstrap
contract, `otelEnvInventory`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIGNALS = ("traces", "logs", "metrics")


@dataclass(frozen=True, slots=True)
class Inventory:
    """`present` are the signals that some variable is about, `overrides` the kinds of those for one signal alone.

    `problems` are what the agent objected to, as `<signal>.<field>`.
    """

    present: frozenset[str] = frozenset()
    overrides: tuple[tuple[str, tuple[str, ...]], ...] = ()
    problems: tuple[str, ...] = ()


UNKNOWN = Inventory()


def read(metadata: object) -> Inventory:
    """The inventory in the metadata of an Envoy node; an empty one for what is not understood."""
    if not isinstance(metadata, Mapping):
        return UNKNOWN
    shared = _has_input(metadata.get("shared"))
    present = frozenset(each for each in SIGNALS if shared or _has_input(metadata.get(each)))
    overrides = tuple((each, kinds) for each in SIGNALS if (kinds := _texts(_of(metadata, each).get("overrideKinds"))))
    return Inventory(present, overrides, _texts(metadata.get("validationErrors")))


def _of(metadata: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = metadata.get(key)
    return found if isinstance(found, Mapping) else {}


def _has_input(signal: object) -> bool:
    return isinstance(signal, Mapping) and any(
        value is True and str(key).endswith("Present") for key, value in signal.items()
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
