"""Matching on Spark gives what matching in one process gives, however the records are ordered, cut and dealt out."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from spine.core.entities import Matching
from spine.core.errors import ConfigError
from spine.identity import engine
from spine.identity.matching import REVIEW, match
from spine.identity.spark import clusters as distributed_clusters
from spine.identity.spark import pairs as distributed_pairs
from spine.identity.spark import records as distributed_records
from spine.identity.spark.match import SparkPairing, match_on_spark

pytestmark = [pytest.mark.spark, pytest.mark.slow]

PEOPLE = Matching(attributes={
    "given_name": "forename", "family_name": "surname", "birth_date": "date", "email": "email", "phone": "phone",
    "street": "street", "city": "city", "postcode": "postcode",
})  # fmt: skip
ORGANIZATIONS = Matching(
    attributes={"name": "organization", "website": "url", "phone": "phone", "street": "street", "city": "city", "postcode": "postcode"},
    link="across_sources",
)
_FIRST = (
    "Anna", "Bruno", "Clara", "Dario", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katia", "Lars", "Mona", "Nils", "Olga",
    "Pavel", "Rosa", "Sven", "Tara", "Ugo",
)  # fmt: skip
_LAST = (
    "Abel", "Brandt", "Costa", "Dubois", "Ekman", "Ferrari", "Gruber", "Haas", "Iversen", "Jansen", "Keller", "Lund", "Moreau", "Novak",
    "Olsen", "Petrov", "Rossi", "Sato",
)  # fmt: skip
_CITIES = [("Berlin", "10"), ("Hamburg", "20"), ("Leipzig", "04"), ("Bonn", "53")]


def people(seed: int, count: int = 220) -> pa.Table:
    """Two records or so of each person in two sources; a third of the people live with a relative."""
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    for _ in range(count):
        person = _person(dice)
        if last and dice.random() < 0.35:
            person |= {name: last[name] for name in ("family_name", "street", "city", "postcode", "phone")}
        last = person
        rows += [_worn(dice, person, ("email", "phone", "birth_date")) for _ in range(dice.choice((1, 2, 2, 3)))]
    return _table(dice, rows)


def _person(dice: random.Random) -> dict[str, Any]:
    first, name = dice.choice(_FIRST), dice.choice(_LAST)
    born = f"{dice.randint(1945, 2004)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
    mail = f"{first}.{name}{dice.randint(1, 99)}@mail{dice.randint(1, 6)}.net".lower()
    return {"given_name": first, "family_name": name, "birth_date": born, "email": mail, **_place(dice)}


def organizations(seed: int, count: int = 220) -> pa.Table:
    """Organisations, most of them in two sources, some of several branches that share name, site and telephone."""
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        name = f"{dice.choice(_LAST)} {dice.choice(('Logistics', 'Foods', 'Consulting', 'Optics'))} {number if dice.random() < 0.3 else ''}"
        base = {"name": name.strip() + " GmbH", "website": f"https://www.{name.split()[0].lower()}{number}.de", **_place(dice)}
        rows += [_worn(dice, base, ("website", "phone")) for _ in range(dice.choice((1, 2, 2)))]
        if dice.random() < 0.15:
            rows.append(base | {key: value for key, value in _place(dice).items() if key != "phone"})
    return _table(dice, rows)


def _place(dice: random.Random) -> dict[str, Any]:
    city, zone = dice.choice(_CITIES)
    street = f"{dice.randint(1, 90)} {dice.choice(_LAST)} Street"
    return {"phone": f"+49{dice.randint(10**9, 10**10 - 1)}", "street": street, "city": city, "postcode": f"{zone}{dice.randint(100, 999)}"}


def _worn(dice: random.Random, row: dict[str, Any], may_lack: tuple[str, ...]) -> dict[str, Any]:
    """The row as another source might have it: values missing, two letters exchanged."""
    worn = dict(row)
    for name in may_lack:
        if dice.random() < 0.25:
            worn[name] = None
    name = dice.choice([name for name in worn if isinstance(worn[name], str) and len(worn[name]) > 3])
    if dice.random() < 0.4:
        at = dice.randrange(len(worn[name]) - 2)
        worn[name] = worn[name][:at] + worn[name][at + 1] + worn[name][at] + worn[name][at + 2 :]
    return worn


def copied(table: pa.Table) -> pa.Table:
    """A third of the records up to five times, one of them sixty times, and twenty of whom only a common name is known."""
    dice = random.Random(11)
    rows = table.to_pylist()
    names = dict.fromkeys(table.column_names, None)
    bare = [names | {"source": "crm", "given_name": _FIRST[number % 3], "family_name": _LAST[number % 2]} for number in range(20)]
    copies = [row for row in rows if dice.random() < 0.35 for _ in range(dice.randint(1, 4))]
    full = [{name: row[name] for name in names if name != "record_id"} for row in [*rows, *copies, *[rows[5]] * 60, *bare]]
    return _table(dice, full)


def _table(dice: random.Random, rows: list[dict[str, Any]]) -> pa.Table:
    numbers = dice.sample(range(10 * len(rows)), len(rows))
    full = [
        {"record_id": f"r{number:05}", "source": dice.choice(("crm", "shop")), **row} for number, row in zip(numbers, rows, strict=True)
    ]
    return pa.table({name: pa.array([row.get(name) for row in full], pa.string()) for name in full[0]})


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred records are cut as a few million would be."""
    monkeypatch.setattr(distributed_records, "PIECE", 150)
    monkeypatch.setattr(distributed_pairs, "HAND", 150)


@pytest.mark.parametrize(
    ("table", "matching"),
    [
        pytest.param(people(1), PEOPLE, id="people"),
        pytest.param(copied(people(7, 70)), PEOPLE, id="people-with-copies-and-namesakes"),
        pytest.param(organizations(2), ORGANIZATIONS, id="organizations-across-sources"),
    ],
)
def test_clusters_are_those_of_one_process(spark: Any, table: pa.Table, matching: Any) -> None:
    plan = engine.make_plan(matching)
    alone = match(engine.prepare(table.sort_by("record_id"), plan, "source"), 0.85)
    shuffled = table.take(pa.array(np.random.default_rng(3).permutation(table.num_rows)))
    raw = spark.createDataFrame(shuffled).repartition(5)

    found = match_on_spark(raw, plan, 0.85, record_id="record_id", source="source")

    clusters = found.clusters.toArrow().sort_by("record_id")
    ids = table.sort_by("record_id").column("record_id").to_pylist()
    assert clusters.column("record_id").to_pylist() == ids
    assert clusters.column("cluster_id").to_pylist() == [ids[label] for label in alone.label.tolist()]
    assert len(np.unique(alone.label)) < len(ids)
    np.testing.assert_allclose(np.asarray(clusters.column("confidence")), alone.confidence, rtol=0, atol=1e-9)
    assert _weakest(clusters) == pytest.approx({ids[label]: value for label, value in alone.weakest.items()}, abs=1e-9)
    told = {(row["record_id"], item["record_id"]) for row in clusters.to_pylist() for item in row["conflicts"] or []}
    assert told == {(ids[conflict.row], ids[rival]) for conflict in alone.conflicts for rival in conflict.rivals}
    _same_pairs(found.matches.toArrow(), alone, ids)
    assert found.compared == alone.compared
    assert (found.model.m, found.model.terms, found.model.rarity) == (alone.model.m, alone.model.terms, alone.model.rarity)
    found.close()


def _weakest(clusters: pa.Table) -> dict[str, float]:
    return {row["record_id"]: row["weakest"] for row in clusters.to_pylist() if row["weakest"] is not None}


def _same_pairs(matches: pa.Table, alone: Any, ids: list[str]) -> None:
    pairs = {(row["left_id"], row["right_id"]): (row["rule"], row["probability"]) for row in matches.to_pylist()}
    expected = zip(alone.found.left.tolist(), alone.found.right.tolist(), alone.found.rule.tolist(), alone.scored.probability, strict=True)
    named = {(ids[left], ids[right]): (rule, probability) for left, right, rule, probability in expected}
    assert pairs.keys() == named.keys()
    for pair, (rule, probability) in named.items():
        assert pairs[pair] == (rule, pytest.approx(probability, abs=1e-9))


def test_pairing_finds_the_pairs_that_one_process_finds(spark: Any) -> None:
    table = people(4).sort_by("record_id")
    records = engine.prepare(table, engine.make_plan(PEOPLE), "source")
    changed = np.arange(records.rows) % 7 == 0
    pairing, alone = SparkPairing(spark), engine.LocalPairing()

    model, found = pairing.fit(records, 3, REVIEW)
    expected_model, _ = alone.fit(records, 3, REVIEW)
    assert model == expected_model

    for flags, pairs in ((None, found), (changed, pairing.candidates(records, model, changed, REVIEW))):
        every = alone.candidates(records, model, flags, REVIEW)
        likely = every.take(np.flatnonzero(engine.scored(records, model, every).probability >= REVIEW))
        order = np.lexsort([likely.right, likely.left])
        for name in ("left", "right", "pattern", "rule", "mask"):
            np.testing.assert_array_equal(getattr(pairs, name), getattr(likely, name)[order], err_msg=name)


def test_stars_find_the_components_that_scipy_finds(spark: Any) -> None:
    """Random graphs, a chain, a hub and a ring beside one another, under scattered numbers."""
    dice = np.random.default_rng(5)
    graphs = [dice.integers(0, 400, (300, 2)), np.stack([np.arange(60), np.arange(1, 61)], axis=1)]
    graphs += [np.stack([np.full(40, 20), np.arange(40)], axis=1), np.stack([np.arange(30), (np.arange(30) + 1) % 30], axis=1)]
    edges = np.concatenate([graph + 1_000 * number for number, graph in enumerate(graphs)])
    edges = dice.permutation(5_000)[edges]
    edges = edges[edges[:, 0] != edges[:, 1]]
    _, part = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(5_000, 5_000)), directed=False)
    first = {int(part[row]): row for row in range(4_999, -1, -1)}
    expected = {row: first[int(part[row])] for row in np.unique(edges).tolist()}
    frame = spark.createDataFrame(pa.table({"l": edges[:, 0], "r": edges[:, 1]}))

    for way in (distributed_clusters.star_components, distributed_clusters.components):
        table = way(frame).toArrow()
        assert dict(zip(table.column("row").to_pylist(), table.column("component").to_pylist(), strict=True)) == expected
        assert table.num_rows == len(expected)


@pytest.mark.parametrize("ids", [pytest.param(["a", "b", "a"], id="twice"), pytest.param(["a", None, "b"], id="missing")])
def test_records_need_an_id_of_their_own(spark: Any, ids: list[str | None]) -> None:
    raw = spark.createDataFrame(pa.table({"record_id": ids, "given_name": ["Ada", "Bo", "Cy"], "family_name": ["X", "Y", "Z"]}))
    matching = Matching(attributes={"given_name": "forename", "family_name": "surname"})
    with pytest.raises(ConfigError, match="record_id"):
        match_on_spark(raw, engine.make_plan(matching), 0.85, record_id="record_id")


@pytest.mark.parametrize("count", [pytest.param(0, id="none"), pytest.param(1, id="one"), pytest.param(2, id="two-strangers")])
def test_hardly_any_records(spark: Any, count: int) -> None:
    table = people(6).slice(0, count) if count < 2 else people(6).take(pa.array([0, 400]))
    raw = spark.createDataFrame(table, ", ".join(f"{name} string" for name in table.column_names))
    found = match_on_spark(raw, engine.make_plan(PEOPLE), 0.85, record_id="record_id", source="source")
    clusters = found.clusters.toArrow()
    assert sorted(clusters.column("cluster_id").to_pylist()) == sorted(table.column("record_id").to_pylist())
    assert found.matches.count() == 0
    found.close()
