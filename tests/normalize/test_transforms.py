"""What each transform makes of a text; what it does not understand passes unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from spine.core.vocabulary import vocabulary
from spine.normalize.payload import EDGES, MARKS, SPACES, letters_of, trimmed, unless_blank
from spine.normalize.regions import e164, region_of
from spine.normalize.transforms import VOCABULARY, apply_transform

CASES = [
    ("none", " A b ", " A b "),
    ("trim", "  A \t b\u00a0", "A b"),
    ("trim", "   ", None),
    ("lower", " ABC ", "abc"),
    ("upper", " abc", "ABC"),
    ("title", "ada lovelace", "Ada Lovelace"),
    ("digits", "a1-2 3", "123"),
    ("digits", "none", None),
    ("email", " MAILTO:Ada@Example.org", "ada@example.org"),
    ("email", "Jane at Example", "jane at example"),
    ("email", "\u200bann@x.org\u00a0\t\n", "ann@x.org"),
    ("email", "an\u00adn@x.org,; ", "ann@x.org"),
    ("email", "Ann Lee <Ann@x.org>;", "ann@x.org"),
    ("email", "MAILTO:Ann@X.org?subject=hi", "ann@x.org"),
    ("email", "'ann@x.org.'", "ann@x.org"),
    ("email", "ann@x.org; bob@x.org", "ann@x.org; bob@x.org"),
    ("lower", "\u2003ABC\ufeff", "abc"),
    ("boolean", "\u00a0yes\n", "true"),
    ("date", "\u00a031.01.2026\t", "2026-01-31"),
    ("trim", "\u3000A\u2009b\u200b", "A b"),
    ("trim", "\u00a0\u200b", None),
    ("country", "Germany\u00a0", "DE"),
    ("url_domain", "https://user@www.Example.com:8080/x?y#z", "example.com"),
    ("url_domain", "example.com", "example.com"),
    ("date", "20260131", "2026-01-31"),
    ("date", "2026/1/31", "2026-1-31"),
    ("date", "31.01.2026", "2026-01-31"),
    ("date", "01/02/2026", "01/02/2026"),
    ("told_date", "31.01.2026", "2026-01-31"),
    ("told_date", "1990-02-03T00:00:00Z", "1990-02-03T00:00:00Z"),
    ("told_date", "01/02/2026", None),
    ("told_date", "2026-02-31", None),
    ("told_date", "in May", None),
    ("timestamp", " 2026-01-31T08:15:00Z ", "2026-01-31T08:15:00Z"),
    ("date", "2026-01-31-08:00", "2026-01-31"),
    ("date", "2026-01-31Z", "2026-01-31"),
    ("date", "/Date(1769847300123)/", "2026-01-31"),
    ("date", "/Date(-86400000+0000)/", "1969-12-31"),
    ("epoch_ms", "/Date(1769847300123+0000)/", "2026-01-31T08:15:00.123Z"),
    ("epoch_ms", "/Date(-1000)/", "1969-12-31T23:59:59.000Z"),
    ("epoch_ms", "1769847300123", "2026-01-31T08:15:00.123Z"),
    ("epoch_ms", "soon", "soon"),
    ("epoch", "1769847300", "2026-01-31T08:15:00.000000Z"),
    ("epoch", "1769847300.000216", "2026-01-31T08:15:00.000216Z"),
    ("epoch", "soon", "soon"),
    ("mail_time", "Sat, 31 Jan 2026 10:15:00 +0200", "2026-01-31T08:15:00Z"),
    ("mail_time", "31 Jan 2026", "31 Jan 2026"),
    ("minor_units", "12345 usd", "123.450000"),
    ("minor_units", "-500 JPY", "-500.000000"),
    ("minor_units", "12345 kwd", "12.345000"),
    ("minor_units", "12345", "12345"),
    ("given_names", "Ada", "Ada"),
    ("given_names", " Ada  King Lovelace ", "Ada King"),
    ("given_names", "Ludwig van Beethoven", "Ludwig"),
    ("given_names", "Beethoven, Ludwig", "Ludwig"),
    ("given_names", "Ada Lovelace, PhD", "Ada"),
    ("surname", "Ada", None),
    ("surname", "Ada Lovelace Jr.", "Lovelace"),
    ("surname", "Ludwig van Beethoven", "van Beethoven"),
    ("surname", "María de la Cruz", "de la Cruz"),
    ("surname", "Beethoven, Ludwig", "Beethoven"),
    ("cents", "12345", "123.450000"),
    ("cents", "much", "much"),
    ("micros", "12345000", "12.345000"),
    ("micros", "much", "much"),
    ("boolean", "Yes", "true"),
    ("boolean", "0", "false"),
    ("boolean", "maybe", "maybe"),
    ("country", "germany", "DE"),
    ("country", "Atlantis ", "Atlantis"),
    ("phone", "(312) 555-0142", "3125550142"),
    ("phone", "+49 711 123456", "+49711123456"),
]


@pytest.mark.spark
def test_transforms(spark: Any) -> None:
    from pyspark.sql import functions as F

    columns = [
        apply_transform(name, F.lit(text), F.lit(None).cast("string")).alias(str(place)) for place, (name, text, _) in enumerate(CASES)
    ]
    (row,) = spark.range(1).select(*columns).collect()
    assert [(name, text, found) for (name, text, _), found in zip(CASES, row, strict=True)] == CASES


def test_every_word_of_the_mapping_model_is_registered_and_tried() -> None:
    assert set(vocabulary("transform")) == set(VOCABULARY) == {name for name, _, __ in CASES}


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("(312) 555-0142", "United States", "+13125550142"),
        ("0711 123456", "DE", "+49711123456"),
        ("020 7946 0018", "United Kingdom", "+442079460018"),
        ("+33 1 23 45 67 89", None, "+33123456789"),
        ("+33 1 23 45 67 89", "US", "+33123456789"),
        ("386 5286", None, "3865286"),
        ("ext 12", "US", "12"),
        ("+1 2", None, "+12"),
        ("call me", None, "call me"),
        ("0711 123456", "Atlantis", "0711123456"),
        ("4.91511E+12", "DE", None),
        ("4,91511E12", None, None),
        ("4.915112345678E+12", "DE", "+4915112345678"),
        ("4915112345678.0", "DE", "+4915112345678"),
        ("4915112345678", "DE", "+4915112345678"),
        ("3125550142.0", "US", "+13125550142"),
        ("0049 151 12345678", "US", "+4915112345678"),
        ("\u200b+49 151 12345678\u00a0,\t", None, "+4915112345678"),
        ("٠٥٠١٢٣٤٥٦٧", "SA", "+966501234567"),
        ("030 901820", "Germany\u00a0", "+4930901820"),
        ("030 901820; 0151 12345678", "DE", "+4930901820"),
        ("030/901820", "DE", "+4930901820"),
        ("49151123456784915112345678", "DE", None),
    ],
)
def test_phone_numbers_become_e164_where_it_can_be_told(number: str, country: str | None, expected: str) -> None:
    assert e164(number, country) == expected


@pytest.mark.parametrize(
    "extension",
    [
        " ext. 31",
        " ext: 31",
        " extension 9",
        ";ext=44",
        " p. 12",
        ", 77",
        "x5",
        " x 5",
        " #12",
        " (ext 7)",
        " Durchwahl 3",
        " poste 12",
        " EXT 31",
    ],
)
@pytest.mark.parametrize("country", ["DE", None])
def test_an_extension_is_no_part_of_a_number(extension: str, country: str | None) -> None:
    assert e164(f"+49 30 901820{extension}", country) == "+4930901820"
    assert e164(f"030 901820{extension}", "DE") == "+4930901820"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("us", "US"),
        ("USA", "US"),
        ("Deutschland", "DE"),
        ("Alemania", "DE"),
        (" france ", "FR"),
        ("Großbritannien", None),
        ("England", "GB"),
    ],
)
def test_countries_are_known_by_code_and_by_name_in_many_languages(name: str, code: str | None) -> None:
    assert region_of(name) == code


def test_of_all_letters_those_that_nobody_sees_are_trimmed(spark: Any) -> None:
    from pyspark.sql import functions as F

    letters = [chr(code) for code in range(1, 0x11000) if not 0xD800 <= code < 0xE000]
    texts = [f"{letter}a {letter} b{letter}" for letter in letters] + ["a" + " " * 200_000 + "b", "\u200b" * 200_000, ""]
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    found = frame.select(trimmed(F.col("text")), trimmed(F.col("text"), also="'<"), unless_blank(F.col("text"))).collect()
    assert [tuple(row) for row in found] == [
        (text.strip(EDGES), text.strip(EDGES + "'<"), text if text.strip(EDGES) else None) for text in texts
    ]


@pytest.mark.parametrize("letters", [SPACES, MARKS])
def test_a_class_of_letters_has_them_and_no_other_in_few_ranges(spark: Any, letters: str) -> None:
    from pyspark.sql import functions as F

    every = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    frame = spark.createDataFrame([(letter,) for letter in every], "letter string")
    found = [row.letter for row in frame.where(F.col("letter").rlike(letters_of(letters))).collect()]
    assert "".join(sorted(found)) == "".join(sorted(letters))
    assert len(letters_of(letters)) - len(letters_of("")) <= 30
