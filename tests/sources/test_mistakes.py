"""What can be known of a declaration without a network is told at once: file, line, field, the nearest right word; each mistake once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spine.core.errors import ConfigError, Mistake
from spine.core.settings import PROJECT
from spine.sources.check import broken_declarations, require_valid_declarations

SHOP = """\
source: shop
label: Shop
domain: revops
auth: {type: bearer}
schedule: "0 4 * * *"
streams:
  - name: customers
    path: /customers
    records: data
    key: [id]
    cursor: {field: updated_at, since: updated_since, lookback: 10m}
    paging: {type: next_token, next: next_cursor, param: cursor}
    deletes: {detect: flag, field: deleted}
    entity: pet
    mapping:
      filters: [{field: kind, one_of: [dog]}]
      fields:
        name: {from: title, transform: trim}
        chipped: {from: chip, transform: boolean}
"""
PET = """\
entity: pet
label: Pet
domain: party
description: A pet.
version: 1
fields:
  name: {description: Its name, required: true}
  chipped: {description: Has a chip, type: boolean, default: false}
  born: {description: Birthday, type: date}
row_rules:
  - {name: is_named, check: required, field: name, reason: no name, fails: {name: null}}
  - {name: born_lately, check: between, field: born, values: ["1950-01-01", "2999-12-31"], reason: too old, fails: {born: "1900-01-01"}}
table_rules:
  - {name: few_null, metric: null_share, field: name, max: 0.5, fails: 0.9}
"""
Changed = Callable[[str, str], list[Mistake]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source and its entity, and nothing else that is declared."""
    for kind, name, text in (("sources", "shop", SHOP), ("entities", "pet", PET)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.yaml").write_text(text)
        monkeypatch.setenv(f"SPINE_{kind.upper()}", str(tmp_path / kind))
    return tmp_path


@pytest.fixture
def changed(folder: Path) -> Changed:
    """What is told after a text of one of the files has been replaced by another."""

    def change(before: str, after: str) -> list[Mistake]:
        (path,) = [path for path in folder.glob("*/*.yaml") if before in path.read_text()]
        text = path.read_text()
        assert text.count(before) == 1
        path.write_text(text.replace(before, after))
        found = [mistake for error in broken_declarations() for mistake in error.mistakes]
        assert {mistake.file for mistake in found} <= {str(path)}
        return found

    return change


def test_what_is_right_is_told_nothing(folder: Path) -> None:
    assert broken_declarations() == []
    require_valid_declarations()


SOURCE_MISTAKES = [
    ("schedule", '"0 4 * * *"', '"0 25 * * *"', 5, "schedule", "'0 25 * * *' is no schedule"),
    ("schedule in words", '"0 4 * * *"', "every day", 5, "schedule", "five fields of cron"),
    ("schedule that never comes", '"0 4 * * *"', '"0 0 30 2 *"', 5, "schedule", "is no schedule"),
    ("JMESPath of the records", "records: data", 'records: "data["', 9, "streams.0.records", "is no JMESPath"),
    ("JMESPath of the next page", "next: next_cursor", 'next: "a..b"', 12, "streams.0.paging.next", "is no JMESPath"),
    ("path of a field", "from: title", "from: names..first", 18, "streams.0.mapping.fields.name.from.0", "is no path"),
    ("element of an array", "from: title", "from: 'emails[0].value'", 18, "streams.0.mapping.fields.name.from.0", "`split`"),
    ("script", "transform: trim", "script: without_markdown", 18, "streams.0.mapping.fields.name.script", "mean 'without_markup'?"),
    ("transform", "transform: trim", "transform: trm", 18, "streams.0.mapping.fields.name.transform", "did you mean 'trim'?"),
    ("no source", "{from: title, transform: trim}", "{transform: trim}", 18, "streams.0.mapping.fields.name", "be empty"),
    ("filter without values", "one_of: [dog]", "one_of: []", 16, "streams.0.mapping.filters.0", "keep every row"),
    ("key twice", 'domain: revops\n', "domain: revops\nlabel: Store\n", 4, "label", "written twice"),
    ("key twice, deep", "chipped: {from", "name: {from", 19, "streams.0.mapping.fields.name", "written twice"),
    ("key twice in braces", "{type: bearer}", "{type: bearer, type: bearer}", 4, "auth.type", "written twice"),
    ("deletes unseen", "{detect: flag, field: deleted}", "{detect: archived}", 13, "streams.0.deletes.detect", "flag, reread, sweep"),
    ("deletes misspelt", "detect: flag, field: deleted", "detect: sweeep", 13, "streams.0.deletes.detect", "did you mean 'sweep'?"),
    ("flag without a field", ", field: deleted", "", 13, "streams.0.deletes.field", "needs the field"),
    ("field that no flag is", "detect: flag, ", "detect: sweep, ", 13, "streams.0.deletes.field", "only `detect: flag` reads it"),
    ("cursor that cannot be asked for", " since: updated_since,", "", 11, "streams.0.cursor.since", "asks the source for changes"),
    ("lookback", "10m", "10 minutes", 11, "streams.0.cursor.lookback", "is no duration"),
    ("lookback beyond all times", "10m", "99999999999999d", 11, "streams.0.cursor.lookback", "is no duration"),
    ("word that nothing reads", "key: [id]", "key: [id]\n    object: Thing", 11, "streams.0.object", "nothing reads it"),
    ("reader of a generic source", "domain: revops", "domain: revops\nreader: x", 4, "reader", "there is no module"),
    ("source that needs code", "domain: revops", "domain: revops\nkind: custom", 4, "kind", "no module spine.sources.custom.shop"),
    ("word misspelt", "records: data", "recrds: data", 9, "streams.0.recrds", "did you mean 'records'?"),
    ("required word misspelt", "key: [id]", "kye: [id]", 10, "streams.0.kye", "did you mean 'key'?"),
    ("word of a kind misspelt", "param: cursor", "parm: cursor", 12, "streams.0.paging.parm", "did you mean 'param'?"),
    ("kind misspelt", "type: next_token", "type: next_tokn", 12, "streams.0.paging.type", "did you mean 'next_token'?"),
    ("domain misspelt", "domain: revops", "domain: revop", 3, "domain", "did you mean 'revops'?"),
    ("entity misspelt", "entity: pet\n    mapping", "entity: pett\n    mapping", 14, "streams.0.entity", "did you mean 'pet'?"),
    ("field misspelt", "chipped: {from", "chiped: {from", 19, "streams.0.mapping.fields.chiped", "did you mean 'chipped'?"),
    ("required unmapped", "        name: {from: title, transform: trim}\n", "", 17, "streams.0.mapping.fields", "'name' is missing"),
    ("key by a word", "key: [id]", "key: hsh", 10, "streams.0.key", "did you mean 'hash'?"),
    ("key without a field", "key: [id]", "key: []", 10, "streams.0.key", "at least 1 item"),
    ("path in a key", "key: [id]", "key: [id, 'a..b']", 10, "streams.0.key.1", "is no path"),
    ("mapping without an entity", "    entity: pet\n    mapping", "    mapping", 7, "streams.0.entity", "says how an entity is filled"),
    ("parent misspelt", "key: [id]", "key: [id]\n    parent: {stream: custmers}", 11, "streams.0.parent.stream", "mean 'customers'?"),
    ("parent of itself", "key: [id]", "key: [id]\n    parent: {stream: customers}", 11, "streams.0.parent.stream", "is the stream itself"),
    ("value of no parent", "path: /customers", "path: /customers/{parent.id}", 8, "streams.0.path", "names nothing"),
    ("value of no list", "path: /customers", "path: /customers/{partition.region}", 8, "streams.0.path", "names nothing"),
    ("list of nobody", "key: [id]", "key: [id]\n    partitions: {r: {variable: v}}", 11, "streams.0.partitions.r.variable", "no variable"),
    ("list without values", "key: [id]", "key: [id]\n    partitions: {r: {group: 2}}", 11, "streams.0.partitions.r", "has one list"),
    ("rule of every answer", "key: [id]", "key: [id]\n    errors: [{when: {}, then: skip}]", 11, "streams.0.errors.0.when", "says nothing"),
    ("rule misspelt", "key: [id]", "key: [id]\n    errors: [{when: {text: x}, then: skp}]", 11, "streams.0.errors.0.then", "'skip'?"),
    ("computed by nothing", "key: [id]", "key: [id]\n    compute: {x: 'a['}", 11, "streams.0.compute.x", "neither a JMESPath"),
    ("computed of nothing", "key: [id]", "key: [id]\n    compute: {x: '{regon}'}", 11, "streams.0.compute.x", "names nothing"),
    ("renamed to the same", "key: [id]", "key: [id]\n    rename: {a: c, b: c}", 11, "streams.0.rename.b", "becomes 'c' too"),
    ("personal misspelt", "key: [id]", "key: [id]\n    personal: {x: hsh}", 11, "streams.0.personal.x", "did you mean 'hash'?"),
    ("name of a stream", "name: customers", "name: Customers", 7, "streams.0.name", "lower-case word"),
    ("name of the file", "source: shop", "source: store", 1, "source", "the file is named 'shop'"),
    ("value that is none", "label: Shop", "label: 2026-13-45", 2, "", "a value is none"),
    ("no YAML", "label: Shop", "label: [,", 2, "", "not YAML"),
]  # fmt: skip
ENTITY_MISTAKES = [
    ("check without its field", "check: required, field: name", "check: required", 11, "row_rules.0.field", "check 'required' needs it"),
    ("check without its values", ', values: ["1950-01-01", "2999-12-31"]', "", 12, "row_rules.1.values", "check 'between' needs it"),
    ("check with one value", '["1950-01-01", "2999-12-31"]', '["1950-01-01"]', 12, "row_rules.1.values", "needs two values"),
    ("values the wrong way", '"1950-01-01", "2999-12-31"', '"2999-12-31", "1950-01-01"', 12, "row_rules.1.values", "every row would fail"),
    ("value of another type", '"1950-01-01", ', '"lately", ', 12, "row_rules.1.values.0", "'lately' is no date"),
    ("word too much", "check: required, ", "check: required, pattern: x, ", 11, "row_rules.0.pattern", "does not read it"),
    ("pattern", "check: required, field: name", "check: matches, field: name, pattern: '('", 11, "row_rules.0.pattern", "regular"),
    ("check of another type", "check: required", "check: not_in_future", 11, "row_rules.0.field", "'name' is a string"),
    ("check misspelt", "check: required", "check: requird", 11, "row_rules.0.check", "did you mean 'required'?"),
    ("field of a rule", "check: required, field: name", "check: required, field: nam", 11, "row_rules.0.field", "did you mean 'name'?"),
    ("metric without its field", "metric: null_share, field: name", "metric: null_share", 14, "table_rules.0.field", "needs it"),
    ("metric with a field", "metric: null_share", "metric: duplicate_keys", 14, "table_rules.0.field", "does not read it"),
    ("rule without a bound", ", max: 0.5", "", 14, "table_rules.0", "could not fail"),
    ("value that does not fail", "fails: 0.9", "fails: 0.1", 14, "table_rules.0.fails", "has to be a value that fails"),
    ("default of another type", "default: false", "default: perhaps", 8, "fields.chipped.default", "'perhaps' is no boolean"),
    ("type misspelt", "type: boolean", "type: bolean", 8, "fields.chipped.type", "did you mean 'boolean'?"),
    ("rule twice", "name: born_lately", "name: is_named", 12, "row_rules.1.name", "another rule is named"),
    ("field newer than its entity", "type: date", "type: date, since: 2", 9, "fields.born.since", "newer than the entity's version 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "what"), [pytest.param(*case, id=name) for name, *case in SOURCE_MISTAKES + ENTITY_MISTAKES]
)
def test_a_mistake_is_told_once_with_its_place(changed: Changed, before: str, after: str, line: int, field: str, what: str) -> None:
    (mistake,) = changed(before, after)
    assert (mistake.line, mistake.field) == (line, field)
    assert what in mistake.what


def test_all_mistakes_of_a_file_are_told_at_once(changed: Changed) -> None:
    found = changed('schedule: "0 4 * * *"\nstreams:\n  - name: customers', "schedule: daily\nlabel: Again\nstreams:\n  - name: Customers")
    assert [mistake.field for mistake in found] == ["schedule", "label", "streams.0.name"]


def test_a_broken_entity_is_told_once_and_not_by_each_source(folder: Path) -> None:
    shutil.copy(folder / "sources" / "shop.yaml", folder / "sources" / "store.yaml")
    store = folder / "sources" / "store.yaml"
    store.write_text(store.read_text().replace("source: shop", "source: store"))
    pet = folder / "entities" / "pet.yaml"
    pet.write_text(pet.read_text().replace("version: 1", "version: one"))
    (error,) = broken_declarations()
    assert [mistake.field for mistake in error.mistakes] == ["version"]


def test_a_stream_without_an_entity_needs_no_mapping_and_no_key(changed: Changed) -> None:
    assert changed(SHOP[SHOP.index("    entity: pet") :], "") == []
    assert changed("key: [id]", "key: hash") == []


def test_a_stream_is_not_named_like_an_entity_of_its_source(changed: Changed) -> None:
    (mistake,) = changed("streams:\n", "streams:\n  - {name: pet, key: singleton}\n")
    assert (mistake.line, mistake.field) == (7, "streams.0.name")


def test_that_a_source_cannot_be_asked_may_be_said(changed: Changed) -> None:
    assert changed("since: updated_since", "since: null") == []


@pytest.mark.parametrize(
    ("name", "before", "after", "field"),
    [
        ("salesforce", "{from: FirstName,", "{from: FirstNme,", "streams.0.mapping.fields.given_name.from"),
        ("salesforce", "cursor: {field: SystemModstamp", "cursor: {field: SystemModstmp", "streams.0.cursor.field"),
        ("salesforce", "object: Contact", "object: Contact Person", "streams.0.object"),
        ("hubspot", "properties.firstname", "properties.frstname", "streams.0.mapping.fields.given_name.from"),
    ],
)
def test_a_path_that_is_never_asked_for_is_told(
    name: str, before: str, after: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PROJECT / "include" / "sources" / f"{name}.yaml").read_text()
    assert before in text
    (tmp_path / f"{name}.yaml").write_text(text.replace(before, after, 1))
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    (error,) = broken_declarations()
    assert [mistake.field for mistake in error.mistakes] == [field]


def test_the_error_of_many_files_has_a_line_for_each_mistake(changed: Changed) -> None:
    changed("domain: revops\n", "domain: revops\nlabel: Store; the other\n")
    with pytest.raises(ConfigError, match="1 broken declaration") as caught:
        require_valid_declarations()
    assert len(caught.value.message.splitlines()) == 2
