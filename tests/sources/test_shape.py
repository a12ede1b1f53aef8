"""What is new or gone among the fields of a stream is told once, and never of fields that are rightly missing now and then."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from spine.core.errors import SchemaMismatch
from spine.sources.reading import MALFORMED, Record, fingerprint
from spine.sources.shape import Shape, ShapeWatch, held_to, words_of


def record(**values: Any) -> Record:
    return Record("1", "upsert", None, orjson.dumps(values).decode(), fingerprint(values))


def read(known: Shape, *records: Record) -> tuple[Shape, str]:
    watch = ShapeWatch()
    watch.see(records)
    shape, changes = watch.against(known)
    return shape, words_of(changes)


def test_the_first_read_tells_nothing_and_is_kept() -> None:
    shape, words = read(Shape(), *[record(id=1, name={"first": "x"})] * 30)
    assert words == ""
    assert Shape.from_json(shape.to_json()) == shape
    names = frozenset({"id", "name.first"})
    assert shape == Shape(names, names, {"id": frozenset({"number"}), "name.first": frozenset({"text"})})
    assert Shape.from_json(None) == Shape()


def test_a_field_that_comes_is_told_once() -> None:
    known, _ = read(Shape(), *[record(id=1)] * 30)
    known, words = read(known, record(id=1), record(id=2, phone="1"))
    assert words == "new fields: phone"
    assert read(known, record(id=3, phone="2"))[1] == ""


def test_a_field_that_every_record_had_and_none_has_now_is_told_once() -> None:
    known, _ = read(Shape(), *[record(id=1, phone="1")] * 30)
    known, words = read(known, *[record(id=1)] * 30)
    assert words == "no longer sent: phone"
    assert read(known, *[record(id=1)] * 30)[1] == ""


def test_a_field_that_only_some_have_may_be_missing() -> None:
    known, _ = read(Shape(), *[record(id=1)] * 30, record(id=2, phone="1"))
    assert read(known, *[record(id=1)] * 30)[1] == ""


def test_few_records_do_not_tell_that_a_field_is_gone() -> None:
    known, _ = read(Shape(), *[record(id=1, phone="1")] * 30)
    assert read(known, record(id=1))[1] == ""


def test_deletes_and_records_that_cannot_be_read_say_nothing() -> None:
    known, _ = read(Shape(), *[record(id=1)] * 30)
    gone = Record("1", "delete", None, '{"other": 1}', fingerprint({"other": 1}))
    assert read(known, gone, Record("2", "upsert", None, '{"_error": ""}', MALFORMED)) == (known, "")


def test_another_type_is_told_once_and_null_is_none() -> None:
    known, _ = read(Shape(), *[record(id=1, total=None, note="x")] * 30)
    known, words = read(known, record(id="1", total=2, note=None))
    assert words == "of another type: id (number → number or text)"
    assert read(known, record(id=1), record(id="2"))[1] == ""
    assert known.fingerprint != read(Shape(), record(id=1))[0].fingerprint


def test_what_was_kept_before_there_were_types_says_nothing_of_them() -> None:
    known = Shape.from_json('{"fingerprint": "x", "ever": ["id"], "always": ["id"]}')
    after, words = read(known, record(id="1"))
    assert (words, after.types) == ("", {"id": frozenset({"text"})})


KNOWN = read(Shape(), *[record(id=1, who={"name": "x"})] * 30)[0]
ODD = [record(id="1"), record(id=1, more=2), record(id=1, who={"name": "x", "mail": "y"})]


@pytest.mark.parametrize("odd", ODD)
def test_a_policy_holds_what_was_never_seen_and_loses_nothing(odd: Record) -> None:
    usual = record(id=2, who={"name": None})
    assert held_to(KNOWN, "evolve", [odd, usual]) == [odd, usual]
    assert held_to(Shape(), "freeze", [odd]) == [odd]  # nothing is known before the first read
    with pytest.raises(SchemaMismatch, match="drift: evolve"):
        held_to(KNOWN, "freeze", [usual, odd])
    row, kept = held_to(KNOWN, "discard_row", [odd, usual])
    assert (row.fingerprint, kept, orjson.loads(row.payload)["_raw"]) == (MALFORMED, usual, odd.payload)
    aside, kept = held_to(KNOWN, "discard_value", [odd, usual])
    content = orjson.loads(aside.payload)
    taken = content.pop("_discarded")
    assert not list(KNOWN.odd(content))
    assert {value for value in taken.values()} <= {"1", 2, "y"}
    assert taken
    assert kept == usual


def test_fields_that_may_not_be_read_are_told_once_by_name():
    known = Shape(frozenset({"a", "b"}), frozenset({"a", "b"}), {"b": frozenset({"text"})})
    watch = ShapeWatch()
    watch.unreadable.update({"b", "c"})
    now, changes = watch.against(known)
    assert words_of(changes) == "not there or not to be read: b, c"
    assert [(one.field, one.before, one.destructive) for one in changes] == [("b", "text", True), ("c", "", True)]
    again = ShapeWatch()
    again.unreadable.update({"b", "c"})
    assert again.against(Shape.from_json(now.to_json()))[1] == []
