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
    ],
)
def test_templates_are_filled_in(text: str, expected: str) -> None:
    assert rendered(text) == expected


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
