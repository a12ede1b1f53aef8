"""What each transform makes of a text; what it does not understand passes unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from spine.core.vocabulary import vocabulary
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
    ("url_domain", "https://user@www.Example.com:8080/x?y#z", "example.com"),
    ("url_domain", "example.com", "example.com"),
    ("date", "20260131", "2026-01-31"),
    ("date", "2026/1/31", "2026-1-31"),
    ("date", "31.01.2026", "2026-01-31"),
    ("date", "01/02/2026", "01/02/2026"),
    ("timestamp", " 2026-01-31T08:15:00Z ", "2026-01-31T08:15:00Z"),
    ("epoch_ms", "1769847300123", "2026-01-31T08:15:00.123Z"),
    ("epoch_ms", "soon", "soon"),
    ("cents", "12345", "123.450000"),
    ("cents", "much", "much"),
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
    ],
)
def test_phone_numbers_become_e164_where_it_can_be_told(number: str, country: str | None, expected: str) -> None:
    assert e164(number, country) == expected


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
