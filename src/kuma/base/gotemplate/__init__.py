"""Templates as users of Kuma write them in hostnames, SPIFFE IDs and virtual outbounds: Go's text/template.

A subset: text, pipelines, fields, variables, functions, `if` and `with`, comments and trimming; what is left out
(`range`, `define`, `block`, `template`) is refused by name. Errors have Go's words and places, because users search
for them. `parse` compiles a text, `Template.render` fills it in. Source: pkg.go.dev/text/template.
"""

from kuma.base.gotemplate.evaluation import FieldMissing, Template, parse
from kuma.base.gotemplate.tokens import TemplateError

__all__ = ["FieldMissing", "Template", "TemplateError", "parse"]
