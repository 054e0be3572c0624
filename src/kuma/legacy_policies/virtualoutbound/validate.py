"""Rules of a VirtualOutbound. Its templates are filled in once with made-up values, to see what they become."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotemplate, gotext, labels
from kuma.base.errors import Violation
from kuma.resources import addresses, selectors
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.legacy_policies.virtualoutbound import model

_MISSING = "has to be defined"
_TAG_NAME = re.compile(r"[a-zA-Z0-9.\-_:/]+")
_PARAMETER_NAME = re.compile(r"[a-zA-Z0-9]+")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a VirtualOutbound."""
    spec: model.VirtualOutbound = resource.spec
    yield from selectors.check_selectors("selectors", [each.match for each in spec.selectors])
    conf = spec.conf
    if conf is None:
        yield Violation("conf", _MISSING)
        return
    yield from _check_parameters("conf.parameters", conf)
    yield from _check_template("conf.host", conf.host, dict.fromkeys(_names(conf), "dummy"), _host_problem)
    yield from _check_template("conf.port", conf.port, dict.fromkeys(_names(conf), "1"), _port_problem)


def _names(conf: "model.Conf") -> list[str]:
    return [each.name for each in conf.parameters]


def _check_parameters(path: str, conf: "model.Conf") -> Iterator[Violation]:
    seen: set[str] = set()
    for index, parameter in enumerate(conf.parameters):
        place = f"{path}[{index}]"
        if parameter.name in seen:
            yield Violation(f"{place}.name", "name is already used")
        seen.add(parameter.name)
        if not _TAG_NAME.fullmatch(parameter.tag):
            if parameter.tag_key:
                yield Violation(f"{place}.tagKey", "must be a valid tag name")
            else:
                yield Violation(f"{place}.name", "must be a valid tag name if you are not setting tagKey")
        if not _PARAMETER_NAME.fullmatch(parameter.name):
            reason = "must consist of alphanumeric characters to be used as a gotemplate key"
            yield Violation(f"{place}.name", reason)
    if all(each.tag != labels.SERVICE_TAG for each in conf.parameters):
        yield Violation(path, f"must contain a parameter with {labels.SERVICE_TAG} as a tagKey")


def _check_template(
    path: str, text: str, parameters: dict[str, str], problem_of: Callable[[str], str]
) -> Iterator[Violation]:
    if not text:
        yield Violation(path, _MISSING)
        return
    try:
        problem = problem_of(gotemplate.parse(text).render(parameters))
    except gotemplate.TemplateError as failure:
        problem = f"failed compiling gotemplate error={gotext.quote(str(failure))}"
    if problem:
        yield Violation(path, f"template pre evaluation failed with error={gotext.quote(problem)}")


def _host_problem(host: str) -> str:
    if addresses.is_dns_name(host):
        return ""
    return f"evaluation of template with parameters didn't return a valid dns name result={gotext.quote(host)}"


def _port_problem(port: str) -> str:
    if not _WHOLE_NUMBER.fullmatch(port):
        return (
            f"evaluation of template with parameters didn't evaluate to a parsable number result={gotext.quote(port)}"
        )
    if not addresses.is_port(int(port)):
        return f"evaluation of template returned a port outside of the range [1..65535] result={int(port)}"
    return ""
