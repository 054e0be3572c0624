"""Rules of a Workload."""

from collections.abc import Iterator
from typing import Any

from kuma.base.errors import Violation
from kuma.resources import meta
from kuma.resources import resource as res
from kuma.resources.rules import displayname


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a Workload."""
    return displayname.check(resource.meta, meta.LONGEST_NAME)
