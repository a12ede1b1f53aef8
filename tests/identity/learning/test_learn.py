"""What is learned from records whose truth is known: beside namesakes and colleagues, and where there is one column only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.explaining.narrate import steps
from spine.identity.matching import Matched, match

THRESHOLD = 0.85
FORENAMES = [f"{a}{b}{c}" for a in ("mar", "jo", "el", "tha", "bri") for b in ("ni", "vel", "ko", "san") for c in ("a", "us", "ine")]
SURNAMES = [
    f"{a}{b}{c}" for a in ("wal", "brun", "kes", "od", "fri", "zan") for b in ("ter", "lov", "mar", "dik") for c in ("son", "ek", "i")
]


@dataclass(frozen=True)
class People:
    """Columns by attribute, and the person of each record."""

    columns: dict[str, list[str | None]]
    truth: Any

    def matched(self, **kinds: str) -> Matched:
        """What matching finds in these columns of such kinds."""
        plan = engine.make_plan(Matching(attributes=kinds))
        table = pa.table({name: pa.array(self.columns[name], pa.string()) for name in kinds})
        return match(engine.prepare(table, plan), THRESHOLD)

    def figures(self, found: Matched) -> tuple[float, float]:
        """Precision and recall over pairs of records."""
        hits = _pairs(np.unique(np.stack([found.label, self.truth]), axis=1, return_counts=True)[1])
        return hits / max(1, _pairs(np.unique(found.label, return_counts=True)[1])), hits / _pairs(
            np.unique(self.truth, return_counts=True)[1]
        )


def _pairs(sizes: Any) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _host(number: int) -> str:
    """A domain that is more than a slip away from any other."""
    return f"{FORENAMES[number % len(FORENAMES)]}{SURNAMES[number // len(FORENAMES) * 7 % len(SURNAMES)]}"


def _people(seed: int = 5, persons: int = 2_500, per_company: int = 20) -> People:
    """Two records of each person; names of few words, so that namesakes abound, and companies with one telephone and domain each.

    Half of the second records have another employer, or another private mailbox and mobile number.
    """
    rng = np.random.default_rng(seed)
    first, last = rng.choice(FORENAMES, persons), rng.choice(SURNAMES, persons)
    truth = np.tile(np.arange(persons), 2)
    company = rng.integers(0, persons // per_company, 2 * persons)
    stays = rng.random(persons) < 0.5
    company[persons:] = np.where(stays, company[:persons], company[persons:])
    host = rng.integers(0, 400, 2 * persons)
    host[persons:] = np.where(rng.random(persons) < 0.5, host[:persons], host[persons:])
    mobile = rng.integers(10**8, 10**9, 2 * persons)
    mobile[persons:] = np.where(rng.random(persons) < 0.6, mobile[:persons], mobile[persons:])
    known = rng.random(2 * persons) < 0.8
    names = list(zip(first[truth].tolist(), last[truth].tolist(), strict=True))
    return People(
        {
            "forename": [one for one, _ in names],
            "surname": [other for _, other in names],
            "private": [f"{one}.{other}@{_host(at)}.net" for (one, other), at in zip(names, host.tolist(), strict=True)],
            "business": [f"{one}.{other}@{_host(at + 400)}.com" for (one, other), at in zip(names, company.tolist(), strict=True)],
            "mobile": [f"0{number}" if there else None for number, there in zip(mobile.tolist(), known.tolist(), strict=True)],
            "switchboard": [
                f"0{300_000_000 + 7_919 * at}" if there else None for at, there in zip(company.tolist(), known.tolist(), strict=True)
            ],
            "employer": [f"{SURNAMES[at % len(SURNAMES)]} {FORENAMES[at % len(FORENAMES)]} works" for at in company.tolist()],
        },
        truth,
    )


@pytest.fixture(scope="module")
def people() -> People:
    return _people()


def test_a_mailbox_made_of_the_name_does_not_count_the_name_twice(people):
    found = people.matched(forename="forename", surname="surname", private="email", mobile="phone")
    assert people.figures(found)[0] >= 0.9
    place = [comparison.name for comparison in found.records.plan.comparisons].index("private")
    same_mailbox = np.flatnonzero(found.scored.levels[:, place] == 2)
    assert len(same_mailbox)
    assert found.scored.follows[same_mailbox, place].min() > 5
    at = int(same_mailbox[0])
    told = steps(found.records, found.model, found.scored, at, int(found.found.left[at]), int(found.found.right[at]))
    assert [step["label"] for step in told if step["attribute"] == "dependence"] == ["private follows from person name"]
    assert sum(step["weight"] + step["tf_adjustment"] for step in told) == pytest.approx(float(found.scored.weight[at]), abs=0.02)


def test_a_mailbox_that_nothing_foretells_keeps_its_weight(people):
    numbers = np.random.default_rng(9).permutation(len(people.truth)).tolist()
    private = [
        f"box{numbers[person]}@{mail.partition('@')[2]}" for person, mail in zip(people.truth, people.columns["private"], strict=True)
    ]
    telling = People(people.columns | {"private": private}, people.truth)
    found = telling.matched(forename="forename", surname="surname", private="email", mobile="phone")
    assert found.model.follows == {}
    precision, recall = telling.figures(found)
    assert precision >= 0.99
    assert recall >= 0.99


def test_colleagues_are_not_learned_as_matches(people):
    found = people.matched(forename="forename", surname="surname", business="email", switchboard="phone", employer="organization")
    assert found.model.m["forename"][-1] < 0.1
    assert people.figures(found)[0] >= 0.9


def test_names_of_organisations_are_found_without_any_other_column():
    rng = np.random.default_rng(3)
    parts = [SURNAMES, FORENAMES, ["works", "trading", "labs", "foods", "group"]]
    names = list(dict.fromkeys(" ".join(words) for words in zip(*(rng.choice(part, 1_500).tolist() for part in parts), strict=True)))
    twice = People({"name": [*names, *(f"{name.upper()} Ltd." for name in names)]}, np.tile(np.arange(len(names)), 2))
    precision, recall = twice.figures(twice.matched(name="organization"))
    assert precision >= 0.95
    assert recall >= 0.95


def test_namesakes_whose_mailboxes_are_made_of_their_names_do_not_make_birth_dates_unreliable():
    rng = np.random.default_rng(8)
    persons = 2_000
    truth = np.tile(np.arange(persons), 2)
    names = list(zip(rng.choice(FORENAMES, persons).tolist(), rng.choice(SURNAMES, persons).tolist(), strict=True))
    born = [f"{1940 + rng.integers(64)}-{1 + rng.integers(12):02d}-{1 + rng.integers(28):02d}" for _ in range(persons)]
    columns: dict[str, list[str | None]] = {
        "forename": [names[person][0] for person in truth],
        "surname": [names[person][1] for person in truth],
        "mail": [f"{names[person][0]}.{names[person][1]}@{_host(at % 300 + 300 * (at // persons))}.com" for at, person in enumerate(truth)],
        "born": [born[person] for person in truth],
    }
    people = People(columns, truth)
    found = people.matched(forename="forename", surname="surname", mail="email", born="date")
    assert found.model.unreliable == []
    precision, recall = people.figures(found)
    assert precision >= 0.95
    assert recall >= 0.97
