"""Times in every format: what is written is read as the same time, to the least that the format tells apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from spine.core.times import TimeFormat, grain, read, write

FORMATS = [
    "iso", "iso_seconds", "iso_ms", "date", "epoch", "epoch_ms", "epoch_us",
    "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%Y%m%d", "%Y-%m-%dT%H:%M:%S.%f%z",
]  # fmt: skip
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda moment: moment.replace(tzinfo=UTC))


@pytest.mark.parametrize("form", FORMATS)
@given(moment=MOMENTS)
def test_what_is_written_is_read_again(form: str, moment: datetime) -> None:
    again = read(write(moment, form), form)
    assert timedelta() <= moment - again < grain(form)


@pytest.mark.parametrize("form", FORMATS)
@given(moments=st.tuples(MOMENTS, MOMENTS))
def test_a_later_time_is_not_written_as_an_earlier_one(form: str, moments: tuple[datetime, datetime]) -> None:
    first, second = sorted(moments)
    assert read(write(first, form), form) <= read(write(second, form), form)


@pytest.mark.parametrize("form", ["", "unix", "%s", "%Q", "%Y%", "YYYY-MM-DD"])
def test_what_is_no_format_is_refused(form: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TimeFormat).validate_python(form)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("soon", "iso"),
        ("", "epoch"),
        ("nan", "epoch"),
        (10**30, "epoch"),
        ("1e999999999", "epoch"),
        ("inf", "epoch"),
        ([], "date"),
        ("1", "%Y-%m-%d"),
    ],
)
def test_what_is_no_time_is_told(value: object, form: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        read(value, form)
