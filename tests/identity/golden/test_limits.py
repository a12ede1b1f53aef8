"""Each limit can be passed, and says by its name what was found, the limit and the cause."""

from __future__ import annotations

from typing import Any

import pytest

from spine.core.errors import QualityFailed
from spine.identity.golden import limits
from spine.identity.golden.limits import Figures, Label, agreement, check


def label(one: bool, now: bool, then: bool) -> Label:
    return Label("a:b:1", "a:b:2", one, now, then)


CALM = Figures(sizes=[2] * 60, weakest=[0.99] * 60, former_largest=2, former_ids=60)
AGREED = [label(True, True, True)] * 15 + [label(False, False, False)] * 15


@pytest.mark.parametrize(
    ("rule", "figures", "found", "limit", "cause"),
    [
        ("cluster_size_jump", Figures([101], [0.99], 2, 60, largest_refs=["a:b:1"]), 101, 100, "a:b:1"),
        ("cluster_size_jump", Figures([401], [0.99], 100, 60, largest_refs=["a:b:1"]), 401, 400, "a:b:1"),
        ("weak_links", Figures([2] * 50, [0.89] * 26 + [0.9] * 24), 0.52, 0.5, "26 of 50"),
        ("id_churn", Figures([2], [0.99], 2, 50, {"merged": 16}), 0.32, 0.3, "16 merged and 0 split of 50"),
        ("weak_links", Figures([2] * 60, [0.86] * 31 + [0.99] * 29), 0.517, 0.5, "31 of 60"),
        ("id_churn", Figures([2], [0.99], 2, 60, {"merged": 10, "split": 9}), 0.317, 0.3, "10 merged and 9 split of 60"),
        ("label_precision", Figures([2], [0.99], labels=[*AGREED, *[label(False, True, False)] * 5]), 0.75, 0.9, "such as a:b:1 and a:b:2"),
        ("label_recall", Figures([2], [0.99], labels=[*AGREED, *[label(True, False, True)] * 5]), 0.75, 0.9, ": 5 of 35, such as"),
        ("label_recall", Figures([2], [0.99], labels=AGREED[3:18] + [label(True, False, True)] * 5), 0.706, 0.9, ": 5 of 20, such as"),
    ],
)
def test_each_rule_can_fail_and_names_found_limit_and_cause(rule: str, figures: Figures, found: float, limit: float, cause: str) -> None:
    with pytest.raises(QualityFailed) as refused:
        check("acme", "person", figures)
    where = refused.value.where
    assert (where["rule"], where["found"], where["limit"], where["tenant"]) == (rule, found, limit, "acme")
    assert cause in where["cause"]
    assert rule in str(refused.value)


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param(CALM, id="nothing special"),
        pytest.param(Figures([], []), id="nothing at all"),
        pytest.param(Figures([400], [0.99], former_largest=100), id="it was large before"),
        pytest.param(Figures([100], [0.99], former_largest=2), id="as large as one may be"),
        pytest.param(Figures([2] * 60, [0.9] * 60), id="links as weak as they may be"),
        pytest.param(Figures([2] * 60, [0.86] * 30 + [0.99] * 30), id="half of the entities hang by a weak link"),
        pytest.param(Figures([2], [0.99], 2, 60, {"merged": 9, "split": 9}), id="as much churn as there may be"),
        pytest.param(Figures([2], [0.99], labels=[label(True, True, True)] * 18 + [label(False, True, False)] * 2), id="a tenth is wrong"),
        pytest.param(Figures([2], [0.86] * 49), id="too few entities to speak of weak links"),
        pytest.param(Figures([2], [0.99], 2, 49, {"merged": 49}), id="too few entities to speak of churn"),
        pytest.param(
            Figures([2], [0.99], 2, 60, {"merged": 15, "split": 15}, relearned="grown"), id="as much churn as new weights may bring"
        ),
        pytest.param(Figures([2], [0.99], 2, 60, {"merged": 59}, relearned="grown", asked=True), id="churn that a person asked for"),
        pytest.param(Figures([2], [0.99], labels=[label(True, False, True)] * 19), id="too few labels"),
        pytest.param(Figures([2], [0.99], labels=[label(True, False, False)] * 40), id="stewards only corrected"),
    ],
)
def test_what_is_usual_passes(figures: Figures) -> None:
    check("acme", "person", figures)


def test_churn_of_new_weights_is_judged_as_such() -> None:
    with pytest.raises(QualityFailed, match="there are 900 records") as caught:
        check("acme", "person", Figures([2], [0.99], 2, 60, {"merged": 20, "split": 11}, relearned="there are 900 records, 500 before"))
    assert caught.value.where["rule"] == "relearned_churn"
    assert "--relearn always" in str(caught.value.hint)
    assert "--relearn never" in str(caught.value.hint)


@pytest.mark.parametrize("asked", [True, False])
def test_an_entity_that_grows_by_new_weights_is_refused_whoever_wants_them(asked: bool) -> None:
    with pytest.raises(QualityFailed, match="cluster_size_jump"):
        check("acme", "person", Figures([148], [0.99], 3, 60, relearned="there are 900 records, 500 before", asked=asked))


def test_agreement_is_precision_and_recall() -> None:
    labels = [label(True, True, True), label(True, False, True), label(False, True, False), label(False, False, False)]
    assert agreement(labels) == (0.5, 0.5)
    assert agreement(labels, then=True) == (1.0, 1.0)
    assert agreement([]) == (1.0, 1.0)


def test_labels_are_judged_by_weights_alone(person: Any, crowd: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that a steward confirmed and that fit no more: the override still holds, yet the gate notices what happened to the data."""
    monkeypatch.setattr(limits, "FEW_LABELS", 2)
    ada = {"given_name": "Ada", "family_name": "Okonkwo", "birth_date": "1971-03-04", "city": "Leeds", "postcode": "LS1 4AP"}
    person.run([*crowd, *[{"ref": ref, **ada} for ref in ("a1", "a2", "a3")]])
    person.steward("link", "a1", "a2")
    person.steward("link", "a1", "a3")
    person.run([{"ref": "a2", **ada, "phone": "+441132000123"}])
    before = person.ids
    with pytest.raises(QualityFailed, match="label_recall"):
        person.run([{"ref": ref, "given_name": "Xaver", "family_name": "Zorn", "birth_date": "1999-01-01"} for ref in ("a2", "a3")])
    assert person.ids == before
