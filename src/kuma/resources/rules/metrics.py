"""Rules and defaults of a metrics backend, shared by Mesh and Dataplane."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from kuma.base.errors import Violation
from kuma.resources import printer, reader

if TYPE_CHECKING:
    from kuma.resources.kinds import metrics

PROMETHEUS = "prometheus"
DEFAULT_PORT = 5670
DEFAULT_PATH = "/metrics"
DEFAULT_TAGS = {"kuma.io/service": "dataplane-metrics"}


def prometheus_conf(conf: dict[str, Any] | None) -> "metrics.PrometheusConf":
    """The typed conf of a backend of type `prometheus`; reader.Unreadable where it has other types."""
    from kuma.resources.kinds import metrics

    return reader.read_struct(metrics.PrometheusConf, conf or {}, proto=True)


def check_backend(path: str, backend: "metrics.MetricsBackend") -> Iterator[Violation]:
    """Violations of one metrics backend."""
    if backend.type != PROMETHEUS:
        yield Violation(f"{path}.type", 'unknown backend type. Available backends: "prometheus"')
        return
    try:
        conf = prometheus_conf(backend.conf)
    except reader.Unreadable as failure:
        yield Violation(f"{path}.conf", f"could not parse config: {failure.reason}")
        return
    yield from _check_tls(f"{path}.conf", conf)
    if conf.envoy is not None and conf.envoy.filter_regex:
        reason = broken_regex(conf.envoy.filter_regex)
        if reason:
            yield Violation(f"{path}.conf.envoy.filterRegex", f"provided regexp isn't correct: {reason}")
    seen: set[str] = set()
    for index, entry in enumerate(conf.aggregate):
        if entry.name in seen:
            reason = f"duplicate entry: {entry.name}, values have to be unique"
            yield Violation(f"{path}.conf.aggregate[{index}].name", reason)
        seen.add(entry.name)


def _check_tls(path: str, conf: "metrics.PrometheusConf") -> Iterator[Violation]:
    """`skipMTLS` and `tls` may stand together only where they say the same."""
    if conf.skip_mtls is None or conf.tls is None:
        return
    if conf.tls.mode != ("disabled" if conf.skip_mtls else "activeMTLSBackend"):
        yield Violation(path, "skipMTLS and tls configuration cannot be defined together")


def broken_regex(pattern: str) -> str:
    """Why Go's regular expressions (pkg.go.dev/regexp/syntax) refuse a pattern, in their words where those are known.

    Empty where the pattern can be used. Python's parser decides, but for what only Python knows.
    """
    foreign = _FOREIGN.search(pattern)
    if foreign:
        return f"error parsing regexp: invalid or unsupported Perl syntax: `{foreign.group(0)}`"
    try:
        re.compile(pattern)
    except re.error as failure:
        return f"error parsing regexp: {_go_reason(failure, pattern)}"
    return ""


_FOREIGN = re.compile(r"\(\?[=!]")


def _go_reason(failure: re.error, pattern: str) -> str:
    """Go's text for the common mistakes: the mistake, and the part of the pattern that it is about."""
    at = failure.pos or 0
    known = {
        "unterminated character set": ("missing closing ]", pattern[at:]),
        "missing ), unterminated subpattern": ("missing closing )", pattern),
        "unbalanced parenthesis": ("unexpected )", pattern),
        "nothing to repeat": ("missing argument to repetition operator", pattern[at : at + 1]),
        "multiple repeat": ("invalid nested repetition operator", pattern[at - 1 : at + 1]),
    }
    reason, part = known.get(failure.msg, (failure.msg, pattern))
    if failure.msg.startswith("bad escape"):
        reason, part = "invalid escape sequence", pattern[at : at + 2]
    elif failure.msg.startswith("bad character range"):
        reason, part = "invalid character class range", failure.msg.removeprefix("bad character range ")
    return f"{reason}: `{part}`"


def with_defaults(backend: "metrics.MetricsBackend") -> "metrics.MetricsBackend":
    """The backend with port, path, tags and TLS mode filled in, as Kuma stores it; unreadable conf stays as it is."""
    if backend.type != PROMETHEUS:
        return backend
    try:
        conf = prometheus_conf(backend.conf)
    except reader.Unreadable:
        return backend
    from kuma.resources.kinds import metrics

    mode = metrics.PrometheusTlsMode
    skip, tls = conf.skip_mtls, conf.tls
    if tls is None:
        tls = metrics.PrometheusTlsConfig(mode.DISABLED if skip else mode.ACTIVE_MTLS_BACKEND)
    elif tls.mode == mode.PROVIDED_TLS:
        skip = None
    complete = msgspec.structs.replace(
        conf,
        port=conf.port or DEFAULT_PORT,
        path=conf.path or DEFAULT_PATH,
        tags=conf.tags or dict(DEFAULT_TAGS),
        skip_mtls=skip,
        tls=tls,
    )
    return msgspec.structs.replace(backend, conf=printer.to_builtins(complete))
