"""What was set but means nothing: keys of a file and `KUMA_` variables that no setting has, each with the nearest known one.

Kuma drops them without a word, so that a misspelt limit is no limit. `kuma-cp run` warns of them; `--strict-config`
refuses to start.
"""

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kuma.apps.control_plane.settings import fields

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ALSO_READ = frozenset({"KUMA_METRICS_MESH_FULL_RESYNC_TIMEOUT"})
"""Watched for its deprecation line only."""

_OF_OTHER_PROGRAMS = (
    "KUMA_APPLICATION_PROBE_PROXY_",
    "KUMA_CONTROL_PLANE_",
    "KUMA_DATAPLANE_",
    "KUMA_DNS_CONFIG_DIR",
    "KUMA_DNS_CORE_DNS_",
    "KUMA_DNS_ENABLE",
    "KUMA_DNS_ENVOY_DNS_PORT",
    "KUMA_DNS_PROMETHEUS_PORT",
    "KUMA_DNS_PROXY_PORT",
    "KUMA_READINESS_PORT",
    "KUMA_TRANSPARENT_PROXY_",
)
"""How the variables of kuma-dp begin; on a machine that runs both, the control plane sees them too."""

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
"""Variables that Kubernetes sets in every pod for each service of its namespace, `kuma-cp` among them."""

_PUBLIC_KEY = ("kid", "key", "keyFile", "mesh")
_ALIKE = 0.8
"""How alike long names have to be: they are by what they share, a prefix or a section."""


def warnings(
    root: "type[DataclassInstance]", prefix: str, document: Any, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """A sentence for each unknown key of a parsed file, in its order, then for each unknown variable, sorted.

    `root` is the section at the top, `prefix` starts its variables.
    """
    return (*_of_file(root, prefix, document), *_of_environment(root, prefix, environ))


def _of_file(root: "type[DataclassInstance]", prefix: str, document: Any) -> Iterator[str]:
    for path, key, siblings in _unknown_keys(root, prefix, document, ""):
        near = _nearest(key, siblings)
        if near:
            near = path + near
        else:
            near = _nearest(path + key, [known for known, _ in _declared(root, prefix, "")], _ALIKE)
        yield _sentence("unknown key", path + key, near)


def _of_environment(root: "type[DataclassInstance]", prefix: str, environ: Mapping[str, str]) -> Iterator[str]:
    names = [env for _, env in _declared(root, prefix, "") if env]
    known = {*names, *_ALSO_READ}
    for name in sorted(environ):
        if not name.startswith(f"{prefix}_") or name in known or name.startswith(_OF_OTHER_PROGRAMS):
            continue
        if _OF_KUBERNETES.search(name) and _is_address(environ[name]):
            continue
        yield _sentence("unknown environment variable", name, _nearest(name, names, _ALIKE))


def _is_address(text: str) -> bool:
    """Whether a value looks like one of Kubernetes' service links: `tcp://10.0.0.1:5681`, `10.0.0.1`, `5681`, `tcp`."""
    return re.fullmatch(r"(tcp|udp|sctp)(://.*)?|[\d.]+|[0-9a-f:]+", text) is not None


def _sentence(what: str, name: str, near: str) -> str:
    return f'{what} "{name}" has no effect' + (f', did you mean "{near}"?' if near else "")


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that looks most like it, in any case; empty where none does."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else ""


def _declared(cls: "type[DataclassInstance]", prefix: str, path: str) -> Iterator[tuple[str, str]]:
    """Dotted key and variable of every setting; a section comes with its key alone."""
    for setting in fields.declared(cls, prefix):
        where = f"{path}{setting.key}"
        if setting.is_section:
            yield where, ""
            yield from _declared(setting.annotation, setting.env, f"{where}.")
        else:
            yield where, setting.env


def _unknown_keys(
    cls: "type[DataclassInstance]", prefix: str, given: Any, path: str
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Where it stands (with a final dot), key and known neighbours of each unknown key."""
    by_key = {setting.key.lower(): setting for setting in fields.declared(cls, prefix)}
    siblings = [setting.key for setting in by_key.values()]
    for key, value in given.items() if isinstance(given, Mapping) else ():
        setting = by_key.get(str(key).lower())
        if setting is None:
            yield path, str(key), siblings
        elif setting.is_section:
            yield from _unknown_keys(setting.annotation, setting.env, value, f"{path}{setting.key}.")
        elif typing.get_args(setting.annotation) == (fields.PublicKey,) and isinstance(value, list):
            for number, each in enumerate(value):
                yield from _unknown_in_key(each, f"{path}{setting.key}[{number}].")


def _unknown_in_key(given: Any, path: str) -> Iterator[tuple[str, str, Sequence[str]]]:
    known = {each.lower() for each in _PUBLIC_KEY}
    for key in given if isinstance(given, Mapping) else ():
        if str(key).lower() not in known:
            yield path, str(key), _PUBLIC_KEY
