"""Which texts are regular expressions of RE2."""

import pytest

from kuma.base import regexes


@pytest.mark.parametrize(
    "text",
    ["", "a.*b", "^http_(a|b)+?$", r"\d+\.\w{2,5}\s", "[]a-z^]", "[[:alpha:]_]+", r"\pL\p{Greek}[\pN]", r"\x{10FFFF}\x41", r"\Aa\z",
     r"\Q(?=\E.*", "(?i)a(?s-i:b)", "x(?U)y", "(?P<name>a)(?<other>b)", "a{1000}", r"\_\-\/", "(?:a|b)*"],
)  # fmt: skip
def test_what_re2_compiles(text: str) -> None:
    assert regexes.is_re2(text)


@pytest.mark.parametrize(
    "text",
    ["(", "a)", "[a", "*a", "a**", "a++", "a{2}{3}", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P=n)", "(?>a)",
     r"\y", "a{1001}", "\\", "(?#x)", "[z-a]", r"\Z"],
)  # fmt: skip
def test_what_re2_refuses(text: str) -> None:
    assert not regexes.is_re2(text)
