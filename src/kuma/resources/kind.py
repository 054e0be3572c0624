"""The declaration of one kind of resource, from which routes, commands, storage and docs are derived.

Facts per kind: scope, URL path, short name, who may write it, how it travels between zones (Kuma's type registry).
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from kuma.base import errors

if TYPE_CHECKING:
    from kuma.resources import resource

S = TypeVar("S", bound=msgspec.Struct)


class Spec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of every struct in a spec: immutable, lowerCamelCase on the wire, zero values left out.

    A type that says `__interned__` is read once per distinct value where it stands in lists: for small items that
    many resources repeat and that hold no secret.
    """

    __interned__: ClassVar[bool] = False


class Scope(enum.Enum):
    """Whether a resource belongs to a mesh or to the whole control plane."""

    MESH = "Mesh"
    GLOBAL = "Global"


class Envelope(enum.Enum):
    """Old kinds put the spec's fields at the root; new ones nest them under `spec` and `status`."""

    ROOT = "root"
    SPEC = "spec"


class Sync(enum.Flag):
    """Who provides a kind and which way it travels between global and zones."""

    NONE = 0
    GLOBAL_TO_ZONE = enum.auto()
    ZONE_TO_GLOBAL = enum.auto()
    ZONE_TO_ZONE = enum.auto()
    PROVIDED_BY_GLOBAL = enum.auto()
    PROVIDED_BY_ZONE = enum.auto()


POLICY_SYNC = (
    Sync.GLOBAL_TO_ZONE | Sync.ZONE_TO_GLOBAL | Sync.ZONE_TO_ZONE | Sync.PROVIDED_BY_GLOBAL | Sync.PROVIDED_BY_ZONE
)
"""The targetRef policies: written on either side, sent every way."""


@dataclass(frozen=True, slots=True)
class PolicyTraits:
    """What a policy kind accepts; `target_ref` is False for the source/destination generation."""

    target_ref: bool
    has_to: bool = False
    has_from: bool = False
    has_rules: bool = False
    from_as_rules: bool = False


def accept(_: "resource.Resource[Any]") -> Iterable[errors.Violation]:
    """The validator of kinds without rules of their own."""
    return ()


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """One kind.

    `plural` is the REST path, `alternative_plural` a second one that also answers, `argument` the word of
    `kumactl get` (empty: not offered). `read_only` kinds are written by the control plane alone, `admin_only` ones
    are shown to admins alone. `validate` yields every violation of a decoded resource, in Kuma's order. `sections`
    makes a kind a destination of routes: it gives each port of a spec with the name of its section.
    """

    name: str
    plural: str
    scope: Scope
    spec: type[S]
    short: str = ""
    status: type[msgspec.Struct] | None = None
    envelope: Envelope = Envelope.ROOT
    sync: Sync = Sync.NONE
    validate: "Callable[[resource.Resource[Any]], Iterable[errors.Violation]]" = accept
    defaults: Callable[[S], S] | None = None
    deprecations: "Callable[[resource.Resource[Any]], Iterable[str]] | None" = None
    sections: Callable[[S], Iterable[tuple[int, str]]] | None = None
    policy: PolicyTraits | None = None
    alternative_plural: str = ""
    argument: str = ""
    argument_alias: str = ""
    singular_display: str = ""
    plural_display: str = ""
    read_only: bool = False
    admin_only: bool = False
    exposed: bool = True
    overview: str = ""
    insight: str = ""
