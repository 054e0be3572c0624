"""Kuma resource identifiers."""

import pytest

from kuma.base import kri


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        (kri.Kri("m", name="default"), "kri_m____default_"),
        (kri.Kri("dp", "default", name="dp-1"), "kri_dp_default___dp-1_"),
        (kri.Kri("mtp", "shop", "east", "ns", "allow", "http"), "kri_mtp_shop_east_ns_allow_http"),
    ],
)
def test_text_and_back(identifier: kri.Kri, text: str) -> None:
    assert str(identifier) == text
    assert kri.parse_kri(text) == identifier


def test_parts_after_the_seventh_join_the_section() -> None:
    assert kri.parse_kri("kri_dp_m_z_n_name_a_b").section == "ab"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kri_dp", 'invalid identifier string: "kri_dp"'),
        ("kra_dp_m_z_n_name_", "identifier must start with 'kri': \"kra_dp_m_z_n_name_\""),
    ],
)
def test_what_is_no_identifier_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refusal:
        kri.parse_kri(text)
    assert str(refusal.value) == reason
