"""Values that say nothing, or that mean the same, end to end: records that only look alike stay apart, and those of one entity meet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity import engine, matching
from spine.identity.planning import make_plan

PERSON = {
    "given": "forename",
    "last": "surname",
    "mail": "email",
    "born": "date",
    "line": "street",
    "code": "postcode",
    "ssn": "national_id",
}
NAMES = list(PERSON)


def _crowd(count: int = 150) -> list[list[str | None]]:
    """Persons with two records each."""
    generator = np.random.default_rng(5)
    syllables = ["bar", "den", "kol", "mir", "sta", "vor", "lin", "gra", "hes", "pon"]
    rows: list[list[str | None]] = []
    for number in range(count):
        given, last = ("".join(generator.choice(syllables, 3)) for _ in range(2))
        born = f"{1940 + number % 60}-{1 + number % 12:02}-{1 + number % 28:02}"
        ssn = f"{100 + number}-{10 + number % 80}-{4321 + 7 * number}"
        rows += [[given, last, f"{given}.{last}@mail{number}.org", born, f"{number} Elm Road", f"{50000 + number}", ssn]] * 2
    return rows


def _people(rows: list[list[str | None]], **stated: list[list[str]]) -> list[int]:
    """The entity of each of some records among a crowd."""
    plan = make_plan(Matching(attributes=PERSON, **stated))
    columns = [list(column) for column in zip(*(_crowd() + rows), strict=True)]
    records = engine.prepare(pa.table({name: pa.array(column, pa.string()) for name, column in zip(NAMES, columns, strict=True)}), plan)
    return matching.match(records, 0.85).label[-len(rows) :].tolist()


@pytest.mark.parametrize("number", ["999-99-9999", "123-45-6789", "000-00-0000", "XXX-XX-1234"])
def test_an_identifier_that_nobody_has_neither_excludes_nor_joins(number):
    ann = ["Ottilie", "Brandwein", "ottilie@brandwein.org", "1971-03-04", "9 Kiln Yard", "70707"]
    one, other = _people([[*ann, "412-22-9087"], [*ann, number]])
    assert one == other
    names = ["adler", "becker", "conrad", "dorn", "ebert", "fuchs", "graf", "hahn", "illner", "jung"]
    strangers: list[list[str | None]] = [
        [f"{name}ina", f"{name}mann", f"{name}@x{at}.org", f"19{50 + at}-02-03", f"{at} Zed Way", f"4{at:04}", number]
        for at, name in enumerate(names)
    ]
    assert len(set(_people(strangers, same=[["ssn"]]))) == len(strangers)


@pytest.mark.parametrize(
    "born", ["1/0/1900", "1753-01-01", "1970-01-01", "9999-12-31 00:00:00", "0001-01-01", "1966", "c. 1965", "00.00.0000"]
)
def test_a_date_that_says_nothing_or_little_excludes_nobody(born):
    ann = ["Mirabel", "Quillfeather", "mirabel@quill.org"]
    rest = ["4 Tar Lane", "70808", None]
    one, other = _people([[*ann, "1966-07-10", *rest], [*ann, born, *rest]])
    assert one == other


@pytest.mark.parametrize(
    "mailbox", ["buchhaltung@nordstern.de", "compta@maison.fr", "facturacion@sol.es", "info@harbor.com", "noemail@gmail.com"]
)
def test_a_mailbox_of_a_function_joins_nobody(mailbox):
    surnames = ["Ostermann", "Kowalczyk", "Delacroix", "Fitzgerald", "Yamamoto"]
    assert len(set(_people([[None, surname, mailbox, None, None, None, None] for surname in surnames]))) == 5
