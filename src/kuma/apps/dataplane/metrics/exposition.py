"""Metrics as text: what Envoy and applications answer to a scrape, read into families and written again.

Reads the Prometheus text format 0.0.4 and OpenMetrics 1.0; lines that are neither are left out, so that one bad line
costs one sample. Labels stay the text they are: a scrape of Envoy is megabytes, and few of its labels are ever looked
at. Numbers are written as Prometheus' own libraries do (Go's `strconv.FormatFloat(v, 'g', -1, 64)`).
Sources: prometheus.io/docs/instrumenting/exposition_formats, the OpenMetrics specification.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Sample(NamedTuple):
    """One line. `bound` is the text of `le` or `quantile`, which `labels` then lacks; it and `timestamp` may be empty.

    `labels` is the text between the braces, `timestamp` is milliseconds.
    """

    name: str
    labels: str
    bound: str
    value: str
    timestamp: str


@dataclass(slots=True)
class Family:
    """All samples of one metric. `kind` is the word after `# TYPE`, `help` as escaped in the text."""

    name: str
    kind: str = "untyped"
    help: str = ""
    samples: list[Sample] = field(default_factory=list)


Families = dict[str, Family]
"""By name, in the order of their first line."""

_BLOCK = 65_536

_Owners = dict[str, tuple[str, Family]]
"""The family of each name that samples may have, and the name itself: names and labels of samples are kept once."""

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum"),
    "info": ("_info",),
}
_KINDS = {"unknown": "untyped", "gaugehistogram": "untyped", "info": "gauge", "stateset": "gauge"}
"""Kinds of OpenMetrics that the older format lacks, and the nearest that it has."""

_BOUNDS = {"histogram": "le", "summary": "quantile"}
"""Kinds whose samples differ by a bound, and the label that holds it."""

_SAMPLE = re.compile(
    r"""([a-zA-Z_:][a-zA-Z0-9_:]*+)[ \t]*+
    (?:\{((?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+)\}[ \t]*+)?
    ([-+]?(?:[0-9]++\.?+[0-9]*+(?:[eE][-+]?[0-9]++)?|\.[0-9]++|[Ii]nf)|[Nn]a[Nn])
    (?:[ \t]++(-?[0-9]++(?:\.[0-9]*+)?))?[ \t\r]*+(?:\#.*)?$""",
    re.VERBOSE,
)
_LABELS = re.compile(
    r"""(?:[ ]*+[a-zA-Z_][a-zA-Z0-9_]*+[ ]*+=[ ]*+"(?:[^"\\]++|\\.)*+"[ ]*+(?:,|\Z))*+[ ]*+""", re.VERBOSE
)
_PAIR = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_UNESCAPED = {"n": "\n"}


def parse(text: str) -> Families:
    """The families of a scrape that have samples. Counters of OpenMetrics get the name of their samples."""
    reading = _Reading(text)
    for _ in reading.groups():
        continue
    families: Families = {}
    for family in reading.taken():
        families.setdefault(family.name, family)
    return families


def read(text: str) -> Iterator[Family]:
    """The same families one by one, so that they need not all be there at a time; for texts that keep them together.

    One whose lines are scattered comes in parts. Source: the format wants all lines of a metric in one group.
    """
    reading = _Reading(text)
    for _ in reading.groups():
        yield from reading.taken()


class _Reading:
    """The state of reading a text: families as declared so far, and what was found out about names and labels."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._declared: Families = {}
        self._owners: _Owners = {}
        self._checked = {"": ""}
        self._counts_seconds = text[-100:].rstrip().endswith("# EOF")  # OpenMetrics does

    def groups(self) -> Iterator[None]:
        """Reads on, and stops wherever a family is declared and at the end."""
        for line in _lines(self._text):
            if line.startswith("#"):
                known = len(self._declared)
                self._read_comment(line)
                if len(self._declared) > known:
                    yield
            else:
                self._read_sample(line)
        yield

    def taken(self) -> Iterator[Family]:
        """What was read since this was asked last, in the order of the first lines."""
        for family in self._declared.values():
            if family.samples:
                name = family.samples[0].name if family.kind in ("counter", "info") else family.name
                yield Family(name, _KINDS.get(family.kind, family.kind), family.help, family.samples)
                family.samples = []

    def _read_sample(self, line: str) -> None:
        # Most lines are `name{labels} digits`, of a family that was declared: worth a short cut.
        head, _, value = line.rpartition(" ")
        name, _, labels = head.partition("{")
        owner = self._owners.get(name)
        timestamp = ""
        if owner is None or not value.isdigit() or labels[-1:] != "}" or " # {" in labels:
            matched = _SAMPLE.match(line)
            if matched is None:
                return
            name, labels, value, timestamp = matched.groups("")
            if timestamp and self._counts_seconds:
                timestamp = f"{float(timestamp) * 1000:.0f}"
            owner = self._owners.get(name)
            if owner is None:
                owner = self._owners[name] = name, self._declared.setdefault(name, Family(name))
        else:
            labels = labels[:-1]
        name, family = owner
        bound = ""
        bound_label = _BOUNDS.get(family.kind)
        if bound_label is not None and bound_label in labels:
            labels, bound = _without(labels, bound_label)
        same = self._checked.get(labels)
        if same is None:
            if _LABELS.fullmatch(labels) is None:
                return
            same = self._checked[labels] = labels
        family.samples.append(Sample(name, same, bound, value, timestamp))

    def _read_comment(self, line: str) -> None:
        """Takes in `# TYPE` and `# HELP`; other comments say nothing."""
        parts = line.split(None, 3)
        if len(parts) < 3 or parts[0] != "#" or parts[1] not in ("TYPE", "HELP"):
            return
        family = self._declared.setdefault(parts[2], Family(parts[2]))
        said = parts[3].rstrip() if len(parts) == 4 else ""
        if parts[1] == "HELP":
            family.help = said
        elif not family.samples:
            family.kind = said
            self._owners[family.name] = family.name, family
            for suffix in _SUFFIXES.get(said, ()):
                name = family.name + suffix
                self._owners.setdefault(name, (name, family))


def _lines(text: str) -> Iterator[str]:
    """The lines, cut a block at a time: all at once are more than the text itself. Some blank ones come along."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        yield from text[start:end].split("\n")
        start = end


def _without(labels: str, wanted: str) -> tuple[str, str]:
    """The text of the labels without one of them, and its value; unchanged and empty where it is not there."""
    if labels.startswith(f'{wanted}="'):
        start = 0
    else:
        start = labels.rfind(f',{wanted}="')
        if start < 0:
            return _without_slowly(labels, wanted)
    opening = labels.index('"', start)
    closing = labels.find('"', opening + 1)
    before, after = labels[:start], labels[closing + 1 :].lstrip(",")
    return (f"{before},{after}" if before and after else before or after), labels[opening + 1 : closing]


def _without_slowly(labels: str, wanted: str) -> tuple[str, str]:
    pairs = dict(label_pairs(labels))
    bound = pairs.pop(wanted, "")
    return join_labels(pairs.items()), bound


def label_pairs(labels: str) -> list[tuple[str, str]]:
    """Names and values of the labels in a text, values with their escapes resolved."""
    return [(name, _ESCAPE.sub(_unescape, value) if "\\" in value else value) for name, value in _PAIR.findall(labels)]


def _unescape(matched: re.Match[str]) -> str:
    return _UNESCAPED.get(matched[1], matched[1])


def join_labels(pairs: Iterable[tuple[str, str]]) -> str:
    """The text of labels, as between braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs)


def escape(value: str) -> str:
    """The value of a label as it stands between quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def with_labels(families: Iterable[Family], extra: Mapping[str, str]) -> None:
    """Gives every sample further labels; where it has one of that name, the new value replaces the old."""
    if not extra:
        return
    added = join_labels(extra.items())
    marks = tuple(f'{name}="' for name in extra)
    known: dict[str, str] = {"": added}
    for family in families:
        samples = family.samples
        for index, sample in enumerate(samples):
            labels = known.get(sample.labels)
            if labels is None:
                labels = known[sample.labels] = _joined(sample.labels, added, marks, extra)
            samples[index] = Sample(sample.name, labels, sample.bound, sample.value, sample.timestamp)


def _joined(labels: str, added: str, marks: tuple[str, ...], extra: Mapping[str, str]) -> str:
    if any(mark in labels for mark in marks):
        return join_labels({**dict(label_pairs(labels)), **extra}.items())
    return f"{labels.rstrip(', ')},{added}"


def render(families: Iterable[Family]) -> str:
    """The text (format 0.0.4) of families, without blank lines between them."""
    lines: list[str] = []
    for family in families:
        if family.help:
            lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        bound_label = _BOUNDS.get(family.kind, "")
        bounds: dict[str, str] = {}
        for name, labels, bound, value, timestamp in family.samples:
            if bound:
                shown = bounds.get(bound) or bounds.setdefault(bound, number(bound))
                labels = f'{labels},{bound_label}="{shown}"' if labels else f'{bound_label}="{shown}"'
            shown = value if len(value) < 7 and value.isdigit() else number(value)
            line = f"{name}{{{labels}}} {shown}" if labels else f"{name} {shown}"
            lines.append(f"{line} {timestamp}" if timestamp else line)
    return "\n".join(lines) + "\n" if lines else ""


def number(text: str) -> str:
    """A number as Go writes it with the fewest digits; text that is none stays as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return format_number(value)


def format_number(value: float) -> str:
    """A number as Go writes it with the fewest digits: an exponent from 1e+06 on and below 1e-04."""
    if -1e6 < value < 1e6 and value.is_integer():
        return str(int(value))
    shortest = repr(value)
    if shortest in _SPECIAL:
        return _SPECIAL[shortest]
    mantissa, _, exponent = shortest.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) + len(digits) - len(fraction) - 1
    if -4 <= power < 6:
        return shortest
    digits = digits.rstrip("0")
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"


_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
