"""Gold whose records outgrow the weights: learned anew in the same run, ids kept, told; or pinned, and frequencies kept between runs."""

from __future__ import annotations

from typing import Any

import pytest

from spine.core.errors import QualityFailed
from spine.identity.golden import limits
from spine.identity.learning.model import Model

Rows = list[dict[str, Any]]
NEW = {"phone": "+442079460000", "city": "Newtown", "postcode": "N1 9ZZ", "street": "1 Quay"}


def _doubles(crowd: Rows, source: str) -> Rows:
    return [{**row, "ref": f"{source}{row['ref']}", "source": source, "street": None} for row in crowd]


def _staff(count: int) -> Rows:
    names = [
        "Ulla Vik",
        "Tomas Berg",
        "Sigrid Moe",
        "Rolf Dahl",
        "Petra Lie",
        "Odd Foss",
        "Nora Hagen",
        "Mikkel Strand",
        "Liv Bakke",
        "Kari Holm",
    ]
    rows = []
    for number in range(count):
        given, family = names[number % 10].split(" ")[0], names[number // 10 + number % 3].split(" ")[1]
        rows.append({"ref": f"n{number}", "given_name": given, "family_name": f"{family}{'en' * (number // 10)}", **NEW})
    return rows


def test_weights_are_learned_anew_when_the_records_have_outgrown_them(person: Any, crowd: Rows) -> None:
    person.run(crowd[:40])
    before = person.ids
    kept = person.run(crowd[40:59])
    assert (kept.models, kept.relearned) == ([], None)
    found = person.run(crowd[59:])
    assert (found.relearned["reason"], found.relearned["way"]) == ("there are 60 records, 40 when the weights were learned", "learn")
    assert (found.relearned["records_before"], found.relearned["records"], found.relearned["model_version"]) == (40, 60, 2)
    assert found.models[0]["model_version"] == 2
    assert {ref: person.ids[ref] for ref in before} == before


def test_a_new_source_brings_new_weights(person: Any, crowd: Rows) -> None:
    person.run([*crowd, *({**row, "ref": f"x{row['ref']}", "given_name": f"{row['given_name']}a"} for row in crowd)])
    assert person.run(_doubles(crowd[:50], "hubspot")).relearned["reason"] == "source hubspot is new"
    assert person.run([{**crowd[0], "phone": "+4930111222"}]).relearned is None


def test_pinned_weights_stay_and_frequencies_and_heavy_keys_are_counted_anew_once(person: Any, crowd: Rows) -> None:
    person.run(crowd[:30])
    weights = person.model
    found = person.run(crowd[30:], relearn="never")
    assert found.relearned["way"] == "recount"
    assert (person.model.m, person.model.u, person.model.prior) == (weights.m, weights.u, weights.prior)
    assert person.model.terms["phone"]["1"].total > weights.terms["phone"]["1"].total
    assert person.run([{**crowd[0], "phone": "+4930111222"}], relearn="never").relearned is None
    assert person.run([{**crowd[0], "phone": "+4930111223"}]).relearned["way"] == "learn"


def test_the_staff_of_a_new_company_stays_apart_and_its_values_stay_counted(person: Any, crowd: Rows) -> None:
    person.run(crowd)
    found = person.run(_staff(20))
    assert found.models == []
    assert all(len(cluster) == 1 for cluster in person.clusters if any(ref.startswith("n") for ref in cluster))
    assert any(row["comparison"] == "phone" and row["records"] > 10 for row in found.frequencies)
    again = person.run([{**_staff(1)[0], "ref": "n99", "given_name": "Bodil", "family_name": "Aas"}])
    assert frozenset(["n99"]) in person.clusters
    rows = person.run(relearn="always")
    assert {row["op"] for row in rows.frequencies} == {"delete"}
    assert person.gold["frequencies"] == []
    assert again.relearned is None


def test_stored_pairs_whose_value_becomes_common_are_scored_again(person: Any, crowd: Rows) -> None:
    one = {"given_name": "Runa", "family_name": "Osk", "phone": NEW["phone"]}
    person.run([*crowd, {"ref": "a", **one}, {"ref": "b", "source": "hubspot", **one, "family_name": "Oskk"}])
    before = person.probability("a", "b")
    person.run(_staff(20))
    assert before > 0.9
    assert person.probability("a", "b") < before - 0.01


def test_churn_of_new_weights_is_judged_and_what_a_person_asks_for_passes(
    person: Any, crowd: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.run([*crowd, *_doubles(crowd, "hubspot")])
    monkeypatch.setattr(limits, "RELEARNED_CHURN", -1.0)
    before, rows = person.ids, dict(person.rows)
    extra = [{**row, "ref": f"y{row['ref']}", "given_name": f"{row['given_name']}o", "email": None, "birth_date": None} for row in crowd]
    with pytest.raises(QualityFailed, match="relearned_churn"):
        person.run(extra)
    assert person.ids == before
    assert len(person.rows) > len(rows)
    assert person.run(relearn="always").relearned["reason"] == "it was asked for"


def test_a_model_of_a_former_version_is_gone_on_with(person: Any, crowd: Rows) -> None:
    person.run(crowd)
    before = person.ids
    person.model = Model(**{**vars(person.model), "basis": None, "counted": None, "why": ""})
    found = person.run([{**crowd[0], "phone": "+4930111222"}])
    assert (found.relearned, found.models) == (None, [])
    assert person.ids == before
