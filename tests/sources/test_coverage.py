"""What a mapping reaches of the records that pass by: a misspelt path is told, and so is what nothing maps."""

from __future__ import annotations

from typing import Any

from spine.sources.coverage import Watch
from spine.sources.reading import make_record, malformed
from spine.sources.spec import Stream

ROWS = [
    {"id": 1, "first": "Ada", "contact": {"email": "a@b.org", "fax": "1"}, "seen": "2026-01-01", "tags": ["x"]},
    {"id": 2, "first": " ", "contact": {"email": None}, "seen": "2026-01-02"},
    {"id": 3, "first": "Bob", "contact": {}, "seen": "2026-01-03"},
    {"id": 4, "first": "Eve", "contact": {"email": "e@b.org"}, "seen": "2026-01-04"},
]


def stream(cursor: str = "seen", split: str | None = None, **fields: Any) -> Stream:
    mapping = {"fields": fields, **({"split": split} if split else {})}
    return Stream.model_validate({"name": "s", "key": ["id"], "cursor": {"field": cursor}, "entity": "person", "mapping": mapping})


def seen(watched: Stream, rows: list[dict[str, Any]], **more: int) -> Any:
    watch = Watch(watched, **more)
    watch.see([make_record(watched, row, cursor=None) for row in rows])
    return watch.result()


def test_shares_of_nulls_and_what_nothing_maps() -> None:
    found = seen(stream(given_name="first", email="contact.email"), ROWS)
    assert found.rows == 4
    assert found.nulls == {"given_name": 0.25, "email": 0.5, "(cursor)": 0.0}
    assert found.unmapped == ("contact.fax", "tags")
    assert found.empty == ()
    assert len(found.sample) == 4


def test_paths_that_match_nothing_are_told_with_their_words() -> None:
    misspelt = stream(cursor="seen_at", given_name="first", email={"from": ["contact.mail", "mail"]})
    found = seen(misspelt, ROWS)
    assert found.empty == ("email", "(cursor)")
    assert found.warnings(misspelt) == [
        "email is empty in all of 4 records: none has contact.mail, mail",
        "cursor is empty in all of 4 records: none has seen_at",
    ]
    assert "contact.email" in found.unmapped


def test_a_cursor_is_looked_for_among_the_properties_of_a_record_too() -> None:
    """Readers of some vendors name it without the object that holds what was asked for; a mapping names the whole path."""
    rows = [{"id": 1, "properties": {"seen": "2026-01-01", "first": "Ada"}}]
    found = seen(stream(given_name="first", family_name="properties.first"), rows)
    assert found.nulls == {"given_name": 1.0, "family_name": 0.0, "(cursor)": 0.0}


def test_elements_of_a_split_array_are_looked_at() -> None:
    rows = [{"id": 1, "seen": "2026-01-01", "people": [{"first": "Ada"}, {"first": "Bob"}]}]
    found = seen(stream(split="people", given_name="people.first", email="people.mail"), rows)
    assert found.nulls == {"given_name": 0.0, "email": 1.0, "(cursor)": 0.0}
    assert found.unmapped == ()


def test_deletes_and_what_cannot_be_read_say_nothing() -> None:
    watched = stream(given_name="first")
    watch = Watch(watched)
    watch.see([make_record(watched, {"id": 1}, cursor=None, op="delete"), malformed("x", "broken", "{", cursor=None)])
    assert (watch.result().rows, watch.result().empty) == (0, ())


def test_a_long_stream_is_looked_at_in_part_and_a_short_one_tells_nothing() -> None:
    assert seen(stream(given_name="first"), ROWS, limit=2).rows == 2
    assert seen(stream(given_name="frst"), ROWS, enough=5).empty == ()
    assert seen(stream(given_name="frst"), ROWS, enough=4).empty == ("given_name",)
    assert seen(stream(given_name="frst"), ROWS[:1]).empty == ("given_name",), "what is looked at by hand is enough"
