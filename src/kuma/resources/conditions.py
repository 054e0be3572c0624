"""Conditions in the status of a resource: what a control plane found out about it.

The form is that of Kubernetes (kubernetes.io API conventions, "Typical status properties").
"""

from typing import Annotated

from kuma.resources import kind as kinds
from kuma.resources import values

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


class Condition(kinds.Spec, frozen=True, omit_defaults=False):
    """One finding: `type` names the question, `status` answers it, `reason` is a word for programs. Printed in full."""

    type: Annotated[str, values.Required] = ""
    status: Annotated[str, values.Required, values.one_of(TRUE, FALSE, UNKNOWN)] = ""
    reason: Annotated[str, values.Required] = ""
    message: Annotated[str, values.Required] = ""


class Status(kinds.Spec, frozen=True):
    """The status of kinds that have conditions and nothing else."""

    conditions: tuple[Condition, ...] = ()
