"""How a setting is declared, and how a tree of them is read from a file, from the environment, and printed.

A section is a frozen dataclass. Its JSON key is the attribute in camelCase and its environment name follows from
the path (`api_server.http.port` -> `KUMA_API_SERVER_HTTP_PORT`); `value` and `section` say where Kuma's differ.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NewType, TypeVar

from kuma.base import durations, errors

Duration = NewType("Duration", int)
"""Nanoseconds; Go text in files and in the environment."""

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
MASK = "*****"

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_UNSIGNED = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"[+-]?[0-9]+")


@dataclasses.dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that checks tokens which were signed elsewhere: PEM text or a file with it.

    `mesh` is for keys of dataplane tokens, each of which is good in one mesh.
    """

    kid: str = ""
    key: str = ""
    key_file: str = ""
    mesh: str = ""


def value(
    default: Any, *, key: str = "", env: str | None = None, omit_zero: bool = False, secret: bool = False, go: str = ""
) -> Any:
    """A setting. `env` is the whole name where it is irregular ("": none); `go` the integer type that Kuma reads."""
    meta = {"key": key, "env": env, "omit_zero": omit_zero, "secret": secret, "go": go}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=functools.partial(_copy, default), metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


def _copy(default: Any) -> Any:
    return default.copy()


def time(text: str, **options: Any) -> Any:
    """A duration setting with its default as Go text."""
    return value(Duration(durations.parse_go(text)), **options)


def section(make: Callable[[], Any], *, key: str = "", env: str | None = None) -> Any:
    """A section within a section; `env` is the prefix of its names where it does not follow from the path."""
    return dataclasses.field(default_factory=make, metadata={"key": key, "env": env, "section": True})


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A declared attribute of a section: where it is read from and how it is written."""

    attribute: str
    key: str
    env: str
    is_section: bool
    annotation: Any
    omit_zero: bool
    secret: bool
    go: str


@functools.cache
def declared(cls: "type[DataclassInstance]", prefix: str) -> tuple[Setting, ...]:
    """The settings of a section class whose environment prefix is `prefix`, in order."""
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        meta = field.metadata
        env = meta.get("env")
        if env is None:
            env = f"{prefix}_{field.name.upper()}"
        found.append(
            Setting(
                field.name,
                meta.get("key") or _camel(field.name),
                env,
                meta.get("section", False),
                hints[field.name],
                meta.get("omit_zero", False),
                meta.get("secret", False),
                meta.get("go", ""),
            )
        )
    return tuple(found)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


# Reading a file


def merge_file(current: S, given: Any, prefix: str, path: str = "") -> S:
    """`current` with the values of a parsed document: keys in any case, unknown ones ignored, null changes nothing.

    ValueError names the dotted path of a value of the wrong type.
    """
    if given is None:
        return current
    if not isinstance(given, Mapping):
        raise ValueError(f"{path or 'the document'}: expected an object, got {_type_name(given)}")
    by_key = {str(key).lower(): each for key, each in given.items()}
    changes: dict[str, Any] = {}
    for setting in declared(type(current), prefix):
        found = by_key.get(setting.key.lower())
        if found is None:
            continue
        where = f"{path}.{setting.key}" if path else setting.key
        old = getattr(current, setting.attribute)
        if setting.is_section:
            changes[setting.attribute] = merge_file(old, found, setting.env, where)
        else:
            changes[setting.attribute] = _from_document(setting.annotation, old, found, where)
    return dataclasses.replace(current, **changes) if changes else current


def _from_document(annotation: Any, old: Any, found: Any, where: str) -> Any:
    origin = typing.get_origin(annotation)
    if origin is list:
        item = typing.get_args(annotation)[0]
        if not isinstance(found, list):
            raise _mismatch(where, "a list", found)
        return [_from_document(item, None, each, f"{where}[{n}]") for n, each in enumerate(found)]
    if origin is dict:
        if not isinstance(found, Mapping):
            raise _mismatch(where, "an object", found)
        return {**old, **{str(key): _from_document(str, None, each, f"{where}.{key}") for key, each in found.items()}}
    if annotation is PublicKey:
        return _public_key(found, where)
    if annotation is Duration:
        return _duration_from_document(found, where)
    if annotation is bool:
        if not isinstance(found, bool):
            raise _mismatch(where, "true or false", found)
        return found
    if annotation is int:
        if isinstance(found, bool) or not isinstance(found, int):
            raise _mismatch(where, "a whole number", found)
        return found
    # A plain number where text belongs (`cpu: 0`) is text that lacks its quotes.
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str | int | float):
        raise _mismatch(where, "a text", found)
    return str(found)


def _duration_from_document(found: Any, where: str) -> Duration:
    """A bare number means nanoseconds."""
    if isinstance(found, int) and not isinstance(found, bool):
        return Duration(found)
    if not isinstance(found, str):
        raise _mismatch(where, "a duration", found)
    try:
        return Duration(durations.parse_go(found))
    except ValueError as problem:
        raise ValueError(f"{where}: {problem}") from problem


def _public_key(found: Any, where: str) -> PublicKey:
    if not isinstance(found, Mapping):
        raise _mismatch(where, "an object", found)
    texts = {str(key).lower(): _from_document(str, None, each, f"{where}.{key}") for key, each in found.items()}
    return PublicKey(texts.get("kid", ""), texts.get("key", ""), texts.get("keyfile", ""), texts.get("mesh", ""))


def _mismatch(where: str, wanted: str, found: Any) -> ValueError:
    return ValueError(f"{where}: expected {wanted}, got {_type_name(found)}")


def _type_name(found: Any) -> str:
    if isinstance(found, bool):
        return "a boolean"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(found), type(found).__name__)


# Reading the environment


def merge_environment(current: S, environ: Mapping[str, str], prefix: str, path: str = "") -> S:
    """`current` with what the environment sets; BadRequest in the words of Kuma's loader for a value that does not parse."""
    changes: dict[str, Any] = {}
    for setting in declared(type(current), prefix):
        old = getattr(current, setting.attribute)
        where = f"{path}{setting.key.upper()}_"
        if setting.is_section:
            merged = merge_environment(old, environ, setting.env, where)
            if merged is not old:
                changes[setting.attribute] = merged
        elif setting.env and setting.env in environ:
            changes[setting.attribute] = _from_environment(setting, environ[setting.env], path)
    return dataclasses.replace(current, **changes) if changes else current


def _from_environment(setting: Setting, text: str, path: str) -> Any:
    go_type = _go_type(setting)
    try:
        return _parse(setting.annotation, go_type, text)
    except ValueError as problem:
        field = setting.key[:1].upper() + setting.key[1:]
        shown = MASK if setting.secret else text
        raise errors.BadRequest(
            f"processing environment variables failed: envconfig.Process: assigning {path}{setting.env} to {field}: "
            f"converting '{shown}' to type {go_type}. details: {problem}"
        ) from problem


def _go_type(setting: Setting) -> str:
    if typing.get_origin(setting.annotation) is list:
        return "[]" + (setting.go or "string")
    if typing.get_origin(setting.annotation) is dict:
        return "map[string]string"
    plain = {bool: "bool", int: setting.go or "int", str: "string", Duration: "types.Duration"}
    return plain[setting.annotation]


def _parse(annotation: Any, go_type: str, text: str) -> Any:
    origin = typing.get_origin(annotation)
    if origin is list:
        item = typing.get_args(annotation)[0]
        return [_parse(item, go_type[2:], each) for each in text.split(",")] if text.strip() else []
    if origin is dict:
        return dict(_pairs(text))
    if annotation is Duration:
        return Duration(durations.parse_go(text))
    if annotation is bool:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _parse_integer(go_type, text) if annotation is int else text


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(",") if text.strip() else ():
        name, colon, content = pair.partition(":")
        if not colon:
            raise ValueError(f'invalid map item: "{pair}"')
        yield name, content


def _parse_integer(go_type: str, text: str) -> int:
    unsigned = go_type.startswith("uint")
    function = "ParseUint" if unsigned else "ParseInt"
    if not (_UNSIGNED if unsigned else _SIGNED).fullmatch(text):
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    number = int(text)
    bits = int(go_type.lstrip("uint") or 64)
    low, high = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not low <= number < high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return number


# Printing and changing


def as_json(current: "DataclassInstance", prefix: str) -> dict[str, Any]:
    """The section as a JSON object: durations as Go text, secrets masked, some zero values left out as in Kuma."""
    shown: dict[str, Any] = {}
    for setting in declared(type(current), prefix):
        held = getattr(current, setting.attribute)
        if setting.is_section:
            shown[setting.key] = as_json(held, setting.env)
        elif setting.secret:
            shown[setting.key] = MASK
        elif held or not setting.omit_zero:
            shown[setting.key] = _plain(setting.annotation, held)
    return shown


def _plain(annotation: Any, held: Any) -> Any:
    if annotation is Duration:
        return durations.format_go(held)
    if typing.get_origin(annotation) is list and typing.get_args(annotation)[0] is PublicKey:
        return [
            {"kid": each.kid, "key": each.key, "keyFile": each.key_file, **({"mesh": each.mesh} if each.mesh else {})}
            for each in held
        ]
    return held.copy() if isinstance(held, list | dict) else held


def changed(current: S, path: str, new: Any) -> S:
    """A copy with another value at a dotted path of attributes."""
    first, _, rest = path.partition(".")
    inner = changed(getattr(current, first), rest, new) if rest else new
    return dataclasses.replace(current, **{first: inner})
