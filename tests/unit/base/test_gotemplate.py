"""Templates: what compiles, what they become, and Go's words where they do not."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.base import gotemplate

FIELDS = {"Name": "backend", "Zone": "east", "Empty": ""}


def label(key: str) -> str:
    if key != "app":
        raise ValueError(f"label {key} not found")
    return "shop"


def rendered(text: str) -> str:
    template = gotemplate.parse(text, ("label",))
    return template.render(FIELDS, {"label": label}, lambda name: f"can't evaluate field {name} in type data")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain }} text", "plain }} text"),
        ("{{ .Name }}.{{ .Zone }}.mesh", "backend.east.mesh"),
        ("a {{- .Name -}} b", "abackendb"),
        ("{{/* nothing */}}x", "x"),
        ('{{ label "app" }}', "shop"),
        ('{{ "app" | label | print "the " }}', "the shop"),
        ('{{ (label "app") }}', "shop"),
        ("{{ if .Empty }}a{{ else if .Name }}b{{ else }}c{{ end }}", "b"),
        ("{{ with .Name }}{{ . }}!{{ end }}", "backend!"),
        ("{{ $z := .Zone }}{{ $z }}", "east"),
        ('{{ eq .Zone "east" }}', "true"),
        ('{{ printf "%s-%v %d%%" .Zone .Name 5 }}', "east-backend 5%"),
        ("{{ slice .Name 1 4 }}", "ack"),
        ("{{ slice .Name 4 }}", "end"),
        ("{{ slice .Name }}", "backend"),
        ("{{ index .Name 0 }}{{ index .Zone }}", "98east"),
        ('{{ if lt (len .Zone) 5 }}short{{ end }}{{ if ge "b" "a" }}!{{ end }}', "short!"),
        ("{{ le 1 1 }} {{ gt 1 1 }} {{ lt 2 1 }}", "true false false"),
        ('{{ eq .Zone "west" "east" }} {{ ne .Zone "east" }}', "true false"),
        ("{{ html \"<a b='c'>&\" }}", "&lt;a b=&#39;c&#39;&gt;&amp;"),
        ('{{ js "it\'s <x>=1" }}', "it\\'s \\u003Cx\\u003E\\u003D1"),
        ('{{ urlquery .Zone "a b/c" }}', "easta+b%2Fc"),
    ],
)
def test_templates_are_filled_in(text: str, expected: str) -> None:
    assert rendered(text) == expected


def calling(command: str) -> str:
    """How an error of a function begins."""
    return f'template: :1:3: executing "" at <{command}>: error calling {command.split()[0]}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .Name[4 }}", "template: :1: bad character U+005B '['"),
        ("{{ .Name|1 }}", "template: :1: non executable command in pipeline stage 2"),
        ("{{ .Name|nope }}", 'template: :1: function "nope" not defined'),
        ("\n{{ .Name", "template: :2: unclosed action"),
        ("{{ }}", "template: :1: missing value for command"),
        ("{{ (.Name }}", "template: :1: unclosed left paren"),
        ("{{ .Name ) }}", "template: :1: unexpected right paren"),
        ("{{ .Name } }}", 'template: :1: unexpected "}" in operand'),
        ('{{ "x }}', "template: :1: unterminated quoted string"),
        ("{{ $x }}", 'template: :1: undefined variable "$x"'),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("{{ if .Name }}x", "template: :1: unexpected EOF"),
        ("{{ range .Name }}{{ end }}", "template: :1: {{range}} is not supported here"),
        ("{{ slice .Name 9 }}", f"{calling('slice .Name 9')}: index out of range: 9"),
        ("{{ slice .Name 2 1 }}", f"{calling('slice .Name 2 1')}: invalid slice index: 2 > 1"),
        ("{{ slice .Name 1 2 3 }}", f"{calling('slice .Name 1 2 3')}: cannot 3-index slice a string"),
        ("{{ index .Name 7 }}", f"{calling('index .Name 7')}: index out of range: 7"),
        ("{{ index .Name 0 0 }}", f"{calling('index .Name 0 0')}: can't index item of type uint8"),
        ("{{ eq .Name 1 }}", f"{calling('eq .Name 1')}: incompatible types for comparison"),
        ("{{ eq .Name }}", f"{calling('eq .Name')}: missing argument for comparison"),
        ("{{ lt true false }}", f"{calling('lt true false')}: invalid type for comparison"),
        ("{{ gt .Name 1 }}", f"{calling('gt .Name 1')}: incompatible types for comparison"),
        ("{{ .Other }}", 'template: :1:3: executing "" at <.Other>: can\'t evaluate field Other in type data'),
        (
            '{{ label "x" }}',
            'template: :1:3: executing "" at <label "x">: error calling label: label x not found',
        ),
    ],
)
def test_errors_have_the_words_of_go(text: str, expected: str) -> None:
    with pytest.raises(gotemplate.TemplateError) as caught:
        rendered(text)
    assert str(caught.value) == expected


def test_a_missing_key_prints_that_it_has_no_value_where_the_data_is_a_map() -> None:
    assert gotemplate.parse("{{ .Other }}").render(FIELDS) == "<no value>"


@given(st.text(alphabet="{}$.|()\"'`:= \n-aZ0é", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(gotemplate.TemplateError):
        rendered(text)


def test_a_long_text_is_read_in_one_pass() -> None:
    count = 20_000
    assert rendered("é{{ .Zone -}}\n" * count) == "éeast" * count
