"""Hashed names of synced copies, and server names of destinations."""

import re

import pytest

from kuma.base.kri import Kri
from kuma.resources import names


def test_fnv_of_the_reference_vectors() -> None:
    assert names.fnv1a_64("") == 0xCBF29CE484222325
    assert names.fnv1a_64("foobar") == 0x85944171F73967E8


def test_hashed_names_are_stable_and_fit() -> None:
    short = names.hashed_name("default", "web", "east")
    assert short.startswith("web-")
    assert len(short) == len("web") + 17
    assert short == names.hashed_name("default", "web", "east")
    assert short != names.hashed_name("default", "web", "west")
    assert set(short.removeprefix("web-")) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert len(names.hashed_name("default", "n" * 300, "east")) == names.LONGEST


@pytest.mark.parametrize(
    ("zone", "namespace", "expected"),
    [
        ("", "", "sni.msvc.default.web.http"),
        ("east", "", "sni.msvc.default.east.web.http"),
        ("east", "ns", "sni.msvc.default.east.ns.web.http"),
        ("", "ns", "sni.msvc.default.web.http"),
    ],
)
def test_a_namespace_counts_only_beside_a_zone(zone: str, namespace: str, expected: str) -> None:
    assert names.sni(Kri("msvc", "default", zone, namespace, "web", "http")) == expected


@pytest.mark.parametrize(
    ("identifier", "problem"),
    [
        (Kri("msvc", "", name="web", section="80"), "mesh, name and sectionName must be non-empty"),
        (Kri("msvc", "m", name="web"), "mesh, name and sectionName must be non-empty"),
        (Kri("msvc", "m", name="a.b", section="80"), 'name "a.b" does not conform to RFC 1123: must not contain dots'),
        (
            Kri("msvc", "m", "Z", name="a", section="80"),
            'zone "Z" does not conform to RFC 1123: a lowercase RFC 1123 label',
        ),
        (Kri("msvc", "m", "z", "n" * 64, "a", "80"), "must be no more than 63 characters"),
        (Kri("msvc", "m" * 63, "z" * 63, "n" * 63, "a" * 63, "80"), "exceeds the DNS hostname limit (253)"),
    ],
)
def test_parts_that_cannot_stand_in_a_server_name(identifier: Kri, problem: str) -> None:
    assert problem in "; ".join(names.sni_problems(identifier))
    with pytest.raises(ValueError, match=re.escape(problem)):
        names.sni(identifier)
