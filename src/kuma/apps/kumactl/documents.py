"""Resources as YAML and JSON text, laid out as Kuma prints them.

YAML sorts keys. Kinds that keep their spec at the root print the keys of the envelope first, then those of the spec;
inside a list all keys of an item are sorted together.
"""

import json
from collections.abc import Mapping
from typing import Any

META_KEYS = frozenset({"creationTime", "kri", "labels", "mesh", "modificationTime", "name", "type"})


def to_json(document: object) -> str:
    """JSON with two spaces a level, keys in the order the control plane sent them."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_yaml(document: object) -> str:
    """YAML with sorted keys, strings quoted only where they would be read as something else."""
    import yaml

    return yaml.dump(
        document, Dumper=_dumper(), sort_keys=True, allow_unicode=True, default_flow_style=False, width=10**9
    )


def resource_to_yaml(resource: Mapping[str, Any]) -> str:
    """One resource: a kind with `spec` is sorted as a whole, an older one in two groups."""
    if "spec" in resource or "status" in resource:
        return to_yaml(dict(resource))
    rest = {key: value for key, value in resource.items() if key not in META_KEYS}
    text = to_yaml({key: value for key, value in resource.items() if key in META_KEYS})
    return text + (to_yaml(rest) if rest else "")


def from_yaml(text: str) -> Any:
    """The value of one YAML document with the types JSON has: dates stay text; yaml.YAMLError where it is broken."""
    import yaml

    from kuma.resources import documents

    try:
        return documents.load(text)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def _dumper() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    resolver: Any = yaml.SafeLoader("")

    class Dumper(base):  # type: ignore[misc]  # as above
        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = None
        if "\n" in value:
            style = "|"
        elif resolver.resolve(yaml.ScalarNode, value, (True, False)) not in _TEXT_TAGS or value in _BOOLEANS:
            style = '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper


_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:yaml")
"""The second is what a lone `*`, `&` or `!` resolves to: the emitter quotes those itself."""

_BOOLEANS = frozenset({"y", "Y", "n", "N"})
