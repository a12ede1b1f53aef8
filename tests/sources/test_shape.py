"""What is new or gone among the fields of a stream is told once, and never of fields that are rightly missing now and then."""

from __future__ import annotations

from typing import Any

import orjson

from spine.sources.reading import MALFORMED, Record, fingerprint
from spine.sources.shape import Shape, ShapeWatch


def record(**values: Any) -> Record:
    return Record("1", "upsert", None, orjson.dumps(values).decode(), fingerprint(values))


def read(known: Shape, *records: Record) -> tuple[Shape, str]:
    watch = ShapeWatch()
    watch.see(records)
    return watch.against(known)


def test_the_first_read_tells_nothing_and_is_kept() -> None:
    shape, words = read(Shape(), *[record(id=1, name={"first": "x"})] * 30)
    assert words == ""
    assert Shape.from_json(shape.to_json()) == shape == Shape(frozenset({"id", "name.first"}), frozenset({"id", "name.first"}))
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
