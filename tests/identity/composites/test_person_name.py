"""Names of persons: generations, several family names, orders and spellings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine, matching
from spine.identity.composites import names
from spine.identity.composites.person_name import FORENAME_LEVELS, PERSON_NAME, SURNAME_LEVELS, person_name
from spine.identity.engine import Records
from spine.identity.planning import make_plan
from spine.identity.standardize.text import SEP

GENERATIONS = [
    ("Thaddeus", "Wexcombe Sr.", None, "thaddeus|wexcombe|sr"),
    ("Thaddeus", "Wexcombe, Jr", None, "thaddeus|wexcombe|jr"),
    (None, None, "Wexcombe, Thaddeus, Jr.", "thaddeus|wexcombe|jr"),
    (None, None, "Thaddeus Wexcombe, Jr.", "thaddeus|wexcombe|jr"),
    (None, None, "Thaddeus Wexcombe III", "thaddeus|wexcombe|iii"),
    ("John II", "Smith", None, "john|smith|jr"),
    (None, None, "João Silva Neto", "joao|silva|iii"),
    ("João", "Silva Júnior", None, "joao|silva|jr"),
    (None, None, "Alexandre Dumas fils", "alexandre|dumas|jr"),
    (None, None, "Alexandre Dumas père", "alexandre|dumas|sr"),
    (None, None, "Hans Meier d. J.", "hans|meier|jr"),
    ("Hans", "Meier d.Ä.", None, "hans|meier|sr"),
    ("Lucas", "Cranach der Ältere", None, "lucas|cranach|sr"),
    (None, None, "Pieter Brueghel the Younger", "pieter|brueghel|jr"),
    (None, None, "ifj. Nagy János", "nagy|janos|jr"),
    ("Jan", "Novák starší", None, "jan|novak|sr"),
    ("Jan", "Novák ml.", None, "jan|novak|jr"),
    ("John", "Smith 2nd", None, "john|smith|jr"),
]


@pytest.mark.parametrize(("forename", "surname", "full_name", "expected"), GENERATIONS)
def test_a_generational_suffix_is_told_from_the_name(forename, surname, full_name, expected):
    assert person_name(forename, surname, full_name) == expected.replace("|", SEP)


@pytest.mark.parametrize(
    ("forename", "surname", "full_name", "expected"),
    [
        ("Ana", "Neto", None, "ana|neto"), (None, None, "Ana Neto", "ana|neto"), ("Junior", "Seau", None, "junior|seau"),
        (None, None, "Smith D.J.", "smith d|j"), ("Henry", "V", None, "henry|v"), (None, "Sr. García", None, "|garcia"),
        (None, None, "Lee, Ann", "ann|lee"), ("Jr", "Smith", None, "jr|smith"),
    ],
)  # fmt: skip
def test_what_looks_like_a_suffix_stays_a_name(forename, surname, full_name, expected):
    assert person_name(forename, surname, full_name) == expected.replace("|", SEP)


_words = st.text("abjrsi. 2", max_size=8)


@given(st.lists(st.tuples(st.one_of(st.none(), _words), st.one_of(st.none(), _words)), min_size=1, max_size=8))
def test_names_by_columns_are_names_one_by_one(rows):
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    found = PERSON_NAME.column(["forename", "surname"], columns, person_name)
    assert found.to_pylist() == [person_name(forename, surname) for forename, surname in rows]


def _levels(one: str, other: str) -> tuple[str, str]:
    """The levels of two full names (`forename|surname` or a name undivided)."""
    plan = make_plan(Matching(attributes={"given": "forename", "last": "surname", "name": "full_name"}))
    rows = [[*text.split("|"), None] if "|" in text else [None, None, text] for text in (one, other)]
    records = engine.prepare(pa.table(dict(zip(("given", "last", "name"), map(list, zip(*rows, strict=True)), strict=True))), plan)
    found = plan.digits(engine.patterns(records, np.array([0]), np.array([1]), {}))[0]
    return (
        ("not comparable", *FORENAME_LEVELS)[found[0]],
        ("not comparable", *SURNAME_LEVELS)[found[1]],
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hans|Müller", "Hans|Mueller"), ("Hans|Muller", "Hans|Mueller"), ("Jörg|Weiß", "Joerg|Weiss"), ("Uwe|Schmidt", "Uwe|Schmitt"),
        ("Uwe|Schmid", "Uwe|Schmitt"), ("Anton|Chekhov", "Anton|Tschechow"), ("Yevgeny|Ivanov", "Jewgenij|Iwanow"),
        ("Igor|Zhukov", "Igor|Žukov"),         ("Igor|Romanoff", "Igor|Romanov"), ("Tatyana|Kuznetsova", "Tatjana|Kuznecova"),
        ("Мария|Иванова", "Mariya|Ivanova"),
        ("Muhammad|Khan", "Mohammed|Khan"), ("Omar|Khan", "Umar|Khan"), ("Aleksandr|Orlov", "Alexander|Orlov"),
        ("Łukasz|Żak", "Lukasz|Zak"),
        ("Jan|van der Berg", "Jan|Vanderberg"), ("Omar|al-Rashid", "Omar|Alrashid"), ("Ana|García Márquez", "Ana|Márquez García"),
        ("Omar|al Rashid", "Omar|Rashid"), ("Ludwig|von Hohenfels", "Ludwig|Hohenfels"), ("Ana|García Márquez", "Ana|Márquez"),
    ],
)  # fmt: skip
def test_spellings_and_particles_of_one_name_are_close(one, other):
    forename, surname = _levels(one, other)
    assert forename in FORENAME_LEVELS[:2]
    assert surname in SURNAME_LEVELS[:2]
    assert _levels(other, one) == (forename, surname)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yusuf|Khan", "Youssef|Khan"), ("Gabriel|García Márquez", "Gabriel|García"), ("Gabriel García Márquez", "Gabriel|García")],
)
def test_what_has_something_of_a_name_is_not_another_name(one, other):
    forename, surname = _levels(one, other)
    assert forename != "different forename"
    assert surname not in ("different surname", "not comparable")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Nagy János", "János|Nagy"), ("Nguyễn Văn An", "Văn An|Nguyễn"), ("Nguyễn Văn An", "An Văn Nguyễn"), ("Mao Zedong", "Zedong|Mao")],
)
def test_the_family_name_may_come_first(one, other):
    forename, surname = _levels(one, other)
    assert forename in FORENAME_LEVELS[:3]
    assert surname in SURNAME_LEVELS[:2]


@pytest.mark.parametrize(
    ("one", "other"), [("Hans|Becker", "Hans|Baker"), ("Karl|Bauer", "Karl|Bär"), ("Ann|Lee", "Ann|Lou"), ("Jim|Hall", "Jim|Hill")]
)
def test_other_names_stay_other_names(one, other):
    assert _levels(one, other)[1] not in SURNAME_LEVELS[:2]


def _family(suffixes: list[str]) -> Records:
    """Namesakes of one house with these suffixes, among two hundred others with a second record each."""
    generator = np.random.default_rng(3)
    syllables = ["bar", "den", "kol", "mir", "sta", "vor", "lin", "gra", "hes", "pon"]
    rows = []
    for number in range(200):
        given, last = ("".join(generator.choice(syllables, 3)) for _ in range(2))
        rows += [[given, last, f"{number} Elm Road", f"{55000 + number}"]] * 2
    rows += [["Thaddeus", f"Wexcombe {suffix}".strip(), "917 Oak Grove", "55901"] for suffix in suffixes]
    plan = make_plan(Matching(attributes={"given": "forename", "last": "surname", "line": "street", "code": "postcode"}))
    return engine.prepare(pa.table(dict(zip(("given", "last", "line", "code"), map(list, zip(*rows, strict=True)), strict=True))), plan)


@pytest.mark.parametrize(
    ("suffixes", "people"), [(["Sr.", "Jr."], 2), (["II", "III"], 2), (["Jr.", "jnr"], 1), (["Jr.", "II"], 1), (["Jr.", ""], 1)]
)
def test_father_and_son_of_one_name_at_one_address_are_two(suffixes, people):
    found = matching.match(_family(suffixes), 0.85).label[400:]
    assert len(set(found.tolist())) == people


def test_words_of_a_name_do_not_hold_its_generation():
    value = SEP.join(["thaddeus", "wexcombe", "jr"])
    for cutting in (names.WORDS, names.ALL_WORDS, names.SOUNDS, names.INITIALS, names.INITIAL_AND_SOUND):
        assert cutting.texts(value) == cutting.texts(value.rpartition(SEP)[0])
        assert cutting.numbers is not None
        assert cutting.numbers([value]).tolist() == cutting.numbers([value.rpartition(SEP)[0]]).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bill", "William"),
        ("Paco", "Francisco"),
        ("Sasha", "Aleksandr"),
        ("Beppe", "Giuseppe"),
        ("Sepp", "Josef"),
        ("Laci", "László"),
        ("Саша", "Александр"),
    ],
)
def test_nicknames_of_many_languages_are_forms_of_one_name(one, other):
    assert _levels(f"{one}|Roth", f"{other}|Roth")[0] in FORENAME_LEVELS[:2]
