"""HostnameGenerator: a template that gives services their hostnames."""

from typing import Annotated, Any

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.kinds import labelselector
from kuma.resources.rules import hostnamegenerator as rules


class Selector(kinds.Spec, frozen=True):
    """Which services get a hostname; exactly one kind of them."""

    mesh_service: labelselector.LabelSelector | None = None
    mesh_external_service: labelselector.LabelSelector | None = None
    mesh_multi_zone_service: labelselector.LabelSelector | None = None


class Extension(kinds.Spec, frozen=True):
    """Leaves hostnames to an extension of the control plane."""

    type: Annotated[str, values.Required] = ""
    config: Any = None


class HostnameGenerator(kinds.Spec, frozen=True):
    """What `template` gives is the hostname; see `gotemplate` for its language."""

    extension: Extension | None = None
    selector: Selector = Selector()
    template: Annotated[str, values.Required] = ""


KIND = kinds.Kind(
    name="HostnameGenerator",
    plural="hostnamegenerators",
    scope=kinds.Scope.GLOBAL,
    spec=HostnameGenerator,
    short="hg",
    envelope=kinds.Envelope.SPEC,
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    argument="hostnamegenerator",
    singular_display="Hostname Generator",
    plural_display="Hostname Generators",
)
