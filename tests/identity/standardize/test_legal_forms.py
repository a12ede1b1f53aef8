"""Legal forms of the world: with and without them a name is the same, and a name that is one is kept."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.kinds.organization import organization

FORMS = [
    "Sp. z o.o.", "S.A. de C.V.", "A/S", "Oyj", "d.o.o.", "s.r.o.", "Kft.", "Ltda.", "Sdn. Bhd.", "Pvt. Ltd.", "e.K.", "OÜ", "UAB", "ASA",
    "EIRL", "SASU", "GesmbH", "PJSC", "Ltd. Şti.", "GmbH & Co. KG", "S.p.A.", "Pty Ltd", "S. p. A.", "UG (haftungsbeschränkt) & Co. KG",
    "Co., Ltd.",
    "Spółka z ograniczoną odpowiedzialnością", "S.à r.l.", "(Pty) Ltd", "L.L.C.", "Α.Ε.", "ООО", 'בע"מ', "ذ.م.م", "B.V.", "Zrt.", "a. s.",
    "株式会社", "有限公司", "주식회사", "จำกัด (มหาชน)", "შპს",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_at_the_end_is_no_word_of_the_name(form):
    assert organization(f"Rheinufer {form}") == organization("Rheinufer") == "rheinufer"
    assert organization(f"RHEINUFER, {form.upper()}") == "rheinufer"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("株式会社トヨタ", "とよた"), ("㈱ﾄﾖﾀ", "とよた"), ("(주)삼성전자", "삼성전자"), ("华为技术有限公司", "华为技术"),
        ('ООО "Ромашка"', "romashka"), ("PT Astra Tbk", "astra"), ("Công ty TNHH Hoa Sen", "hoa sen"), ("شركة النور ذ.م.م", "النور"),
    ],
)  # fmt: skip
def test_a_form_where_its_language_puts_it(raw, expected):
    assert organization(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("AT&T Inc.", "at t"), ("DP World", "dp world"), ("KB Home", "kb home"), ("Limited", "limited"), ("S.A.", "sa")],
)
def test_what_is_a_name_stays(raw, expected):
    assert organization(raw) == expected


@given(st.text("aбß株.&/ -(", min_size=1, max_size=12), st.sampled_from(FORMS))
def test_a_form_never_takes_the_whole_name(name, form):
    alone = organization(name)
    assert alone is None or organization(f"{name} {form}")
