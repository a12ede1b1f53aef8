"""Stated matching choices: short and long forms read alike, and every mistake is named with its line and what is known."""

from __future__ import annotations

import pytest

from spine.core.choices import KINDS, known_cuts, known_levels, parse_cut, parse_key, parse_level
from spine.core.entities import Matching, MatchRules, load_match_rules
from spine.core.errors import ConfigError

SMALLEST = """\
entity: person
record_id: unique_id
attributes:
  given_name: forename
  surname: surname
  date_of_birth: date
  note: ignore
"""


def _load(tmp_path, text: str) -> MatchRules:
    path = tmp_path / "person.yaml"
    path.write_text(text, encoding="utf-8")
    return load_match_rules(path)


def test_the_smallest_file_states_nothing(tmp_path):
    rules = _load(tmp_path, SMALLEST)
    assert rules.matching() == Matching(attributes=rules.attributes)
    assert (rules.entity, rules.record_id, rules.source, rules.threshold) == ("person", "unique_id", None, 0.85)


def test_every_choice_can_be_stated_in_its_short_form(tmp_path):
    rules = _load(
        tmp_path,
        SMALLEST
        + """\
blocking:
  - chosen
  - date_of_birth
  - [surname.sound, date_of_birth.year]
  - {key: [given_name.initial, surname.first3], split: date_of_birth.year, budget: 4}
comparisons:
  surname: [exact, jaro_winkler >= 0.92, edits <= 2, prefix 3]
  date_of_birth: {levels: [exact, days <= 31, same year], term_frequency: false}
weights:
  surname: {m: [0.8, 0.1, 0.04, 0.01, 0.05], u: [0.01, 0.01, 0.02, 0.06, 0.9]}
prior: 0.001
same: [[given_name, surname, date_of_birth]]
never: [chosen, surname]
budget: 10
survivorship:
  surname: {strategy: most_frequent}
""",
    )
    stated = rules.matching()
    assert stated.blocking is not None
    assert [rule.key for rule in stated.blocking][:3] == [("chosen",), ("date_of_birth",), ("surname.sound", "date_of_birth.year")]
    assert stated.comparisons["surname"].levels == ("exact", "jaro_winkler >= 0.92", "edits <= 2", "prefix 3")
    assert stated.never == (("chosen",), ("surname",))
    assert stated.keeps_chosen_never
    assert Matching.model_validate_json(stated.model_dump_json()) == stated


@pytest.mark.parametrize(
    ("addition", "line", "says"),
    [
        ("blocking:\n  - [surname]\n  - [surname.yeer]\n", 10, "'yeer' is no cut of a surname (known: words, initial"),
        ("blocking:\n  - surname.year\n", 9, "no cut of a surname"),
        ("blocking:\n  - key: [surname]\n    split: town\n", 10, "unknown attribute 'town' (known: given_name, surname"),
        ("blocking: [[note]]\n", 8, "attribute 'note' is of kind ignore"),
        ("blocking: []\n", 8, "at least 1 item"),
        ("comparisons:\n  town: [exact]\n", 9, "unknown attribute 'town'"),
        ("comparisons:\n  surname:\n    levels:\n      - exact\n      - edits < 2\n", 12, "'edits < 2' is no level of a surname"),
        ("comparisons:\n  surname: [days <= 2]\n", 9, "no level of a surname"),
        ("comparisons:\n  date_of_birth: [same domain]\n", 9, "'domain' is no cut of a date"),
        ("weights:\n  surname: {m: [0.5, 0.5], u: [0.1, 0.2, 0.7]}\n", 9, "m has 2 levels and u has 3"),
        ("weights:\n  surname: {m: [0.5, 0.5], u: [0.0, 1.0]}\n", 9, "positive chances that add up to 1"),
        ("prior: 0\n", 8, "greater than 0"),
        ("same:\n  - [surname, town]\n", 9, "unknown attribute 'town'"),
        ("never:\n  - note\n", 9, "kind ignore"),
        ("budget: 0\n", 8, "greater than or equal to 1"),
        ("survivorship: {town: {}}\n", 1, "survivorship of unknown attributes ['town']"),
        ("link: across_sources\n", 1, "needs `source`"),
        ("blokking: []\n", 8, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, addition, line, says):
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, SMALLEST + addition)
    assert f"person.yaml:{line}: " in str(raised.value)
    assert says in str(raised.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, SMALLEST + "same: [a, b]\nnever: [c]\n")
    assert str(raised.value).count("unknown attribute") == 3


def test_a_key_may_name_an_attribute_with_a_dot():
    kinds = {"name.last": "surname", "born": "date"}
    assert parse_key("name.last", kinds).attribute == "name.last"
    assert parse_key("name.last.first3", kinds).cut.number == 3
    assert parse_key("born.year", kinds).cut.name == "year"


@pytest.mark.parametrize("text", ["", "firstN", "first", "first0", "N3", "__import__", "words()", "first3 "])
def test_what_is_not_in_the_grammar_is_no_cut(text):
    with pytest.raises(ValueError, match="no cut of a surname"):
        parse_cut(text, "surname")


@pytest.mark.parametrize("text", ["", "exakt", "edits <= x", "jaro_winkler >= 1.5", "words 0.5", "prefix 0", "difference <= 3", "same"])
def test_what_is_not_in_the_grammar_is_no_level(text):
    with pytest.raises(ValueError, match="no level of a surname"):
        parse_level(text, "surname")


def test_every_cut_and_level_of_the_grammar_can_be_written():
    for kind in KINDS:
        for name in known_cuts(kind):
            assert parse_cut(name.replace("N", "4"), kind).name == name
        for form in known_levels(kind):
            text = form.replace("CUT", "words").replace("X", "0.5")
            assert parse_level(text.replace("N", "4"), kind).form == form
