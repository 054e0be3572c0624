"""Rules of a HostnameGenerator. A template is tried out on a service that does not exist."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotemplate
from kuma.base.errors import Violation
from kuma.resources import meta
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.resources.kinds import hostnamegenerator as model

FUNCTIONS = ("label",)
"""What templates of hostnames may call beside the builtins: the value of a label of the service."""

_STUBS = {
    "Name": "name",
    "DisplayName": "display-name",
    "Namespace": "namespace",
    "Mesh": "mesh",
    "Zone": "zone",
}
_FIELDS_ONLY = f"only {', '.join(_STUBS)} can be used"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a HostnameGenerator."""
    spec: model.HostnameGenerator = resource.spec
    chosen = spec.selector
    ways = (chosen.mesh_service, chosen.mesh_external_service, chosen.mesh_multi_zone_service)
    if sum(each is not None for each in ways) != 1:
        yield Violation("spec.selector", "exact one selector (meshService, meshExternalService) must be defined")
    if not spec.template:
        yield Violation("spec.template", "must not be empty")
    else:
        yield from _check_template(spec.template)
    if spec.extension is not None and not spec.extension.type:
        yield Violation("spec.extension.type", "must not be empty")


def _check_template(text: str) -> Iterator[Violation]:
    try:
        template = gotemplate.parse(text, FUNCTIONS)
    except gotemplate.TemplateError as failure:
        yield Violation("spec.template", f"couldn't parse template: {failure}")
        return
    try:
        rendered = template.render(_STUBS, {"label": lambda _: "label"}, missing_field)
    except gotemplate.TemplateError as failure:
        yield Violation("spec.template", f"couldn't render template with stub values: {failure}")
        return
    problems = meta.subdomain_problems(rendered)
    if problems:
        reason = f'template renders to "{rendered}" which is not a valid DNS name: {"; ".join(problems)}'
        yield Violation("spec.template", reason)


def missing_field(name: str) -> str:
    """Why a template may not use a field."""
    return f"can't evaluate field {name}: {_FIELDS_ONLY}"
