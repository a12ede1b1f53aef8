"""A declaration is right, or every mistake in it is named with file, line and field."""

from pathlib import Path

import pytest

from spine.core.declarations import load_declaration
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError

PERSON = """\
entity: pet
label: Pet
domain: party
description: A pet.
version: 2
fields:
  name: {description: Its name}
  chipped: {description: Has a chip, type: boolean, default: false, since: 2}
"""


def written(folder: Path, text: str, name: str = "pet") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, PERSON.replace("version: 2", "version: two").replace("since: 2", "sinse: 2"))
    with pytest.raises(ConfigError) as caught:
        load_declaration(path, Entity)
    assert f"{path}:5: version: " in str(caught.value)
    assert f"{path}:8: fields.chipped.sinse: " in str(caught.value)


def test_a_missing_key_is_named_at_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, PERSON.replace("name: {description: Its name}", "name: {type: string}"))
    with pytest.raises(ConfigError, match=r"pet.yaml:7: fields.name.description: Field required"):
        load_declaration(path, Entity)


def test_text_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pet.yaml:[23]: not YAML"):
        load_declaration(written(tmp_path, "entity: pet\nlabel: [,\n"), Entity)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_declaration(tmp_path / "none.yaml", Entity)


def test_rules_name_fields_that_exist(tmp_path: Path) -> None:
    rule = "row_rules:\n  - {name: r, check: required, field: colour, reason: no colour, fails: {name: null}}\n"
    with pytest.raises(ConfigError, match=r"pet.yaml:10: row_rules.0.field: 'colour' is no field of the entity"):
        load_declaration(written(tmp_path, PERSON + rule), Entity)


def test_no_field_is_newer_than_its_entity(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="newer than the entity's version 1"):
        load_declaration(written(tmp_path, PERSON.replace("version: 2", "version: 1")), Entity)


def test_a_field_that_means_golden_records_has_a_column_for_each_kind(tmp_path: Path) -> None:
    text = PERSON + "  owner_ref: {description: Whose it is, refers_to: [person, organization]}\n  person_id: {description: Its vet}\n"
    entity = load_declaration(written(tmp_path, text), Entity)
    assert [reference.column for reference in entity.references] == ["owner_person_id", "owner_organization_id"]
    doubled = text.replace("Its vet", "Its vet, refers_to: person").replace("owner_ref", "owner").replace("person_id:", "owner_person_id:")
    with pytest.raises(ConfigError, match="Gold would have two columns 'owner_person_id'"):
        load_declaration(written(tmp_path, doubled), Entity)


def test_a_usual_entity_needs_no_domain_and_another_does(tmp_path: Path) -> None:
    text = PERSON.replace("domain: party\n", "plural: campaigns\n").replace("entity: pet", "entity: campaign")
    assert load_declaration(written(tmp_path, text), Entity).gold_table == "gold_marketing_campaigns"
    with pytest.raises(ConfigError, match="domain: is needed: one of revenue, finance, support, marketing"):
        load_declaration(written(tmp_path, text.replace("entity: campaign", "entity: pet")), Entity)


def test_file_and_entity_have_one_name(tmp_path: Path) -> None:
    written(tmp_path, PERSON, "cat")
    with pytest.raises(ConfigError, match="the file is named 'cat'"):
        load_entity("cat", tmp_path)


def test_an_unknown_entity_says_where_to_declare_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no entity 'dog'"):
        load_entity("dog", tmp_path)


def test_an_older_row_gets_the_defaults_of_newer_fields(tmp_path: Path) -> None:
    entity = load_declaration(written(tmp_path, PERSON), Entity)
    assert entity.upgrade({"name": "Rex"}, 1) == {"name": "Rex", "chipped": False}
    assert entity.upgrade({"name": "Rex", "chipped": True}, 2) == {"name": "Rex", "chipped": True}
