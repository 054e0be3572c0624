"""What a user writes in a VirtualOutbound. Light: the command line imports it."""

from kuma.legacy_policies.virtualoutbound import validate
from kuma.resources import kind as kinds
from kuma.resources import selectors


class TemplateParameter(kinds.Spec, frozen=True):
    """A name for the templates, and the tag whose value it stands for; empty: the tag of that name."""

    name: str = ""
    tag_key: str = ""

    @property
    def tag(self) -> str:
        """The tag whose value the parameter has."""
        return self.tag_key or self.name


class Conf(kinds.Spec, frozen=True):
    """Templates of a host name and of a port, such as `{{.service}}.mesh` and `{{.port}}`."""

    host: str = ""
    port: str = ""
    parameters: tuple[TemplateParameter, ...] = ()


class VirtualOutbound(selectors.Selected, frozen=True):
    """Names for inbounds that fit one of `selectors`; inbounds with the same name and port are one outbound."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="VirtualOutbound",
    plural="virtual-outbounds",
    scope=kinds.Scope.MESH,
    spec=VirtualOutbound,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="virtual-outbound",
    singular_display="Virtual Outbound",
    plural_display="Virtual Outbounds",
)
