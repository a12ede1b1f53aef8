"""What is said of errors that are not ours: class, code and place, and nothing that they quote."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from spine.core.errors import ConfigError, JobFailed
from spine.core.foreign import frames_of, told, unforeseen

PERSON = ["anna.marker@person.example", "Anna O'Marker", "+49 30 5557 7712", "1980-02-29", 'Müller "Anna" Ödön']


class Row(BaseModel):
    born: dt.date


def _arrow(value: str) -> Exception:
    with pytest.raises(pa.ArrowInvalid) as caught:
        pa.array([value]).cast(pa.int64())
    return caught.value


def _pydantic(value: str) -> Exception:
    with pytest.raises(ValidationError) as caught:
        Row(born=value)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("value", [*PERSON[:3], PERSON[4]])
@pytest.mark.parametrize("kind", [_arrow, _pydantic])
def test_an_error_that_quotes_a_value_is_told_without_it(kind, value: str) -> None:
    error = kind(value)
    assert value[:8] in str(error)
    for word in value.split():
        assert word not in told(error)
        assert word not in frames_of(error)
        assert word not in unforeseen(error).describe()


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ('invalid input syntax for type integer: "anna"', "invalid input syntax for type integer: …"),
        ("Key (email)=(anna) already exists.", "Key … already exists."),
        ("Integer value 4930123456 not in range", "Integer value … not in range"),
        ("No space left on device (os error 28)", "No space left on device (os error 28)"),
        ("Generic error: /tmp/run-12345/lake/t: not found\nanna", "Generic error: /tmp/run-12345/lake/t: not found"),
        ("", "str"),
    ],
)
def test_what_is_left_still_helps(said: str, left: str) -> None:
    assert told(said) == left


@given(st.text(min_size=4, alphabet=st.characters(exclude_categories=["Zs", "Cc", "Zl", "Zp", "Cs"])), st.sampled_from("'\"`"))
def test_no_quoted_value_gets_through_whatever_is_in_it(value: str, quote: str) -> None:
    assert value not in told(f"bad input {quote}{value}{quote}") or value in "bad input …"


def test_an_unforeseen_error_keeps_class_code_and_place_and_ours_stay_as_they_are() -> None:
    def parse() -> None:
        raise OSError(28, "anna.marker@person.example")

    with pytest.raises(OSError, match="anna") as caught:
        parse()
    found = unforeseen(caught.value)
    assert isinstance(found, JobFailed)
    assert found.where["code"] == "28"
    assert "test_foreign.py" in found.where["at"]
    ours = ConfigError("wrong")
    assert unforeseen(ours) is ours


def test_the_frames_of_what_is_behind_an_error_are_told_too() -> None:
    def fail(value: str) -> None:
        try:
            int(value)
        except ValueError as error:
            raise KeyError(value) from error

    with pytest.raises(KeyError) as caught:
        fail("anna.marker")
    text = frames_of(caught.value)
    assert text.startswith("KeyError\n")
    assert "behind it: ValueError\n" in text
    assert text.count("test_foreign.py") == 3
    assert "anna" not in text.replace('fail("anna.marker")', ""), "lines of code are shown, and no words of an error"
