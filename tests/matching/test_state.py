"""A run that goes on from the state of an earlier one: the same clusters as a full run with the same weights, for whatever changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.clustering.incremental import kept_of, rematch
from spine.identity.engine import LocalPairing, make_plan
from spine.identity.matching import Matched, match
from spine.matching import state as match_state
from spine.matching.files import read_columns
from spine.matching.request import MatchRequest
from spine.matching.run import match_records

KINDS: dict[str, Any] = {"given": "forename", "family": "surname", "born": "date", "mail": "email", "town": "city"}
MATCHING = Matching.model_validate({"attributes": KINDS})
GIVEN = ["Anna", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo"]
FAMILY = ["Abel", "Brandt", "Costa", "Dubois", "Ekman", "Ferrari", "Gruber", "Haas"]


def _person(number: int, slip: bool = False) -> dict[str, str | None]:
    given, family = GIVEN[number % 8], FAMILY[number // 8 % 8]
    return {
        "given": given[:-1] if slip else given, "family": family, "born": f"19{50 + number % 40}-0{1 + number % 9}-1{number % 9}",
        "mail": None if slip else f"{given}.{family}{number}@mail{number % 7}.org".lower(), "town": ["Oslo", "Lyon", "Turin"][number % 3],
    }  # fmt: skip


def _records(rows: dict[str, dict[str, str | None]]) -> tuple[pa.Array, pa.Table]:
    ids = sorted(rows)
    table = pa.table({name: pa.array([rows[key][name] for key in ids], pa.string()) for name in KINDS})
    return pa.array(ids, pa.string()), table


def _groups(ids: pa.Array, label: np.ndarray) -> set[frozenset[str]]:
    groups: dict[int, set[str]] = {}
    for key, number in zip(ids.to_pylist(), label.tolist(), strict=True):
        groups.setdefault(number, set()).add(key)
    return {frozenset(group) for group in groups.values()}


def _pairs(ids: pa.Array, matched: Matched) -> dict[tuple[str, str], float]:
    names = ids.to_pylist()
    left, right, weight = matched.found.left.tolist(), matched.found.right.tolist(), matched.scored.weight.tolist()
    return {(names[one], names[other]): round(value, 9) for one, other, value in zip(left, right, weight, strict=True)}


def _save(clusters: Path, ids: pa.Array, table: pa.Table, matched: Matched, kept: Any) -> None:
    match_state.save(clusters, {"of": "test"}, ids, table, matched, kept)


_number = st.integers(0, 63)
_change = st.tuples(st.sampled_from(["add", "alter", "remove"]), _number, _number)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(_change, min_size=1, max_size=6), min_size=1, max_size=3))
@pytest.mark.slow
def test_batches_of_changes_give_what_a_full_run_gives(tmp_path: Path, batches: list[list[tuple[str, int, int]]]) -> None:
    clusters, plan = tmp_path / "clusters.csv", make_plan(MATCHING)
    rows = {f"r{number:03}": _person(number) for number in range(64)} | {
        f"s{number:03}": _person(number, True) for number in range(0, 64, 3)
    }
    ids, table = _records(rows)
    pairing = LocalPairing()
    records = engine.prepare(table, plan)
    matched = match(records, 0.85, pairing=pairing)
    assert pairing.keys is not None
    kept = kept_of(matched, pairing.keys)
    _save(clusters, ids, table, matched, kept)
    for batch in batches:
        for kind, number, other in batch:
            if kind == "remove" and len(rows) > 2:
                rows.pop(f"r{number:03}", None)
            else:
                rows[f"r{number:03}" if kind == "alter" else f"t{number:03}"] = _person(other, number % 2 == 0)
        ids, table = _records(rows)
        state = match_state.load(clusters, {"of": "test"}, plan, ids, table, None)
        assert state is not None
        again, _, kept = rematch(plan, state.changed, state.former(), state.records_of, 0.85)
        whole = match(engine.prepare(table, plan), 0.85, model=again.model)
        assert _groups(ids, again.label) == _groups(ids, whole.label)
        assert again.label.tolist() == whole.label.tolist()
        assert np.allclose(again.confidence, whole.confidence)
        assert {row: round(value, 9) for row, value in again.weakest.items()} == {
            row: round(value, 9) for row, value in whole.weakest.items()
        }
        assert _pairs(ids, again) == _pairs(ids, whole)
        _save(clusters, ids, table, again, kept)


_whom = st.integers(0, 5)
_copy = st.tuples(st.sampled_from(["come", "alter", "go"]), st.integers(0, 60), _whom, st.sampled_from(["full", "slip", "bare"]))


def _someone(number: int, how: str) -> dict[str, str | None]:
    person = _person(number, how == "slip")
    return {name: value if how != "bare" or name in ("given", "family") else None for name, value in person.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(_copy, min_size=1, max_size=8), min_size=1, max_size=3))
@pytest.mark.slow
def test_copies_that_come_change_and_go_are_those_of_a_full_run(tmp_path: Path, batches: list[list[tuple[str, int, int, str]]]) -> None:
    """Six people, most of whose records are copies; ids before and after those at hand, so that first ones come and go as well."""
    clusters, plan = tmp_path / "clusters.csv", make_plan(MATCHING)
    rows = {f"p{number:03}": _person(number) for number in range(6, 64)}
    rows |= {f"k{number:03}": _someone(number % 6, ("full", "slip", "bare")[number // 6 % 3]) for number in range(20, 50)}
    ids, table = _records(rows)
    pairing = LocalPairing()
    matched = match(engine.prepare(table, plan), 0.85, pairing=pairing)
    assert pairing.keys is not None
    _save(clusters, ids, table, matched, kept_of(matched, pairing.keys))
    for batch in batches:
        for kind, place, number, how in batch:
            if kind == "go":
                rows.pop(f"k{place:03}", None)
            elif kind == "come" or f"k{place:03}" in rows:
                rows[f"k{place:03}"] = _someone(number, how)
        ids, table = _records(rows)
        state = match_state.load(clusters, {"of": "test"}, plan, ids, table, None)
        assert state is not None
        again, _, kept = rematch(plan, state.changed, state.former(), state.records_of, 0.85)
        whole = match(engine.prepare(table, plan), 0.85, model=again.model)
        assert again.label.tolist() == whole.label.tolist()
        assert again.copies.first.tolist() == whole.copies.first.tolist()
        assert np.allclose(again.confidence, whole.confidence)
        assert again.weakest.keys() == whole.weakest.keys()
        assert np.allclose([again.weakest[row] for row in whole.weakest], list(whole.weakest.values()))
        assert _pairs(ids, again) == _pairs(ids, whole)
        _save(clusters, ids, table, again, kept)


def test_a_state_of_other_clusters_rules_or_columns_counts_as_absent(tmp_path: Path) -> None:
    clusters, plan = tmp_path / "clusters.csv", make_plan(MATCHING)
    ids, table = _records({f"r{number}": _person(number) for number in range(9)})
    pairing, records = LocalPairing(), engine.prepare(table, plan)
    matched = match(records, 0.85, pairing=pairing)
    assert pairing.keys is not None
    kept = kept_of(matched, pairing.keys)
    assert match_state.load(clusters, {"of": "test"}, plan, ids, table, None) is None
    _save(clusters, ids, table, matched, kept)
    assert match_state.load(clusters, {"of": "others"}, plan, ids, table, None) is None
    assert match_state.load(clusters, {"of": "test"}, plan, ids, table.drop_columns(["mail"]), None) is None
    (match_state.folder(clusters) / "key.json").write_text('{"of": "test"}')  # what an older version left
    assert match_state.load(clusters, {"of": "test"}, plan, ids, table, None) is None
    match_state.forget(clusters)
    assert not match_state.folder(clusters).exists()


@pytest.mark.parametrize("how", ["cut short", "emptied", "lost"])
def test_a_state_of_which_a_file_is_cut_short_counts_as_absent_and_is_told(tmp_path: Path, how: str) -> None:
    records, rules, clusters = tmp_path / "people.csv", tmp_path / "person.yaml", tmp_path / "clusters.csv"
    rules.write_text("entity: person\nrecord_id: id\nattributes: {given: forename, family: surname, born: date, mail: email}\n")
    ids, table = _records({f"r{number:02}": _person(number) for number in range(40)})
    pacsv.write_csv(table.append_column("id", ids), records)
    request = MatchRequest(records, rules, clusters, previous=clusters)
    match_records(MatchRequest(records, rules, clusters))
    names = sorted(path.name for path in match_state.folder(clusters).iterdir())
    assert len(names) > 8
    for name in names:
        file = match_state.folder(clusters) / name
        whole = file.read_bytes()
        if how == "lost":
            file.unlink()
        else:
            file.write_bytes(whole[: len(whole) // 2] if how == "cut short" else b"")
        records.write_bytes(records.read_bytes() + b"\n")  # a change that changes no record

        told = match_records(request)

        assert any(f"clusters.csv.state is not whole ({name})" in warning for warning in told["warnings"])
        assert told["clusters"] == 40
        assert not any("not whole" in warning for warning in match_records(request)["warnings"])


def test_a_state_cut_at_any_byte_is_noticed(tmp_path: Path) -> None:
    clusters, plan = tmp_path / "clusters.csv", make_plan(MATCHING)
    ids, table = _records({f"r{number}": _person(number) for number in range(9)})
    pairing = LocalPairing()
    matched = match(engine.prepare(table, plan), 0.85, pairing=pairing)
    assert pairing.keys is not None
    _save(clusters, ids, table, matched, kept_of(matched, pairing.keys))
    assert match_state.doubt(clusters, {"of": "test"}) is None
    for file in match_state.folder(clusters).iterdir():
        whole = file.read_bytes()
        for length in {*range(0, len(whole), max(1, len(whole) // 97)), len(whole) - 1}:
            file.write_bytes(whole[:length])
            assert f"is not whole ({file.name})" in str(match_state.doubt(clusters, {"of": "test"})), length
        file.write_bytes(whole)


def test_clusters_that_are_not_those_of_their_run_are_told(tmp_path: Path) -> None:
    records, rules, clusters = tmp_path / "people.csv", tmp_path / "person.yaml", tmp_path / "clusters.csv"
    rules.write_text("entity: person\nrecord_id: id\nattributes: {given: forename, family: surname, born: date, mail: email}\n")
    ids, table = _records({f"r{number:02}": _person(number) for number in range(40)})
    pacsv.write_csv(table.append_column("id", ids), records)
    match_records(MatchRequest(records, rules, clusters))
    clusters.write_bytes(clusters.read_bytes()[:700])
    whole = clusters.read_bytes().rpartition(b"\n")[0] + b"\n"
    clusters.write_bytes(whole)
    told = match_records(MatchRequest(records, rules, clusters, previous=clusters))
    assert "clusters.csv is not as its run left it, cut short or changed: ids that are not in it are lost" in told["warnings"]
    kept = dict(line.split(b",")[:2] for line in whole.splitlines()[1:])
    now = dict(line.split(b",")[:2] for line in clusters.read_bytes().splitlines()[1:])
    assert kept.items() <= now.items(), "those that are in it live on"
    assert not match_records(MatchRequest(records, rules, clusters, previous=clusters))["warnings"]


def test_a_state_of_the_former_form_is_made_anew_and_ids_live_on(tmp_path: Path) -> None:
    records, rules, clusters = tmp_path / "people.csv", tmp_path / "person.yaml", tmp_path / "clusters.csv"
    rules.write_text("entity: person\nrecord_id: id\nattributes: {given: forename, family: surname, born: date, mail: email}\n")
    ids, table = _records({f"r{number:02}": _person(number) for number in range(40)})
    pacsv.write_csv(table.append_column("id", ids), records)
    match_records(MatchRequest(records, rules, clusters))
    before = clusters.read_bytes()
    for file in match_state.folder(clusters).glob("text-*.npy"):
        file.unlink()
    key = match_state.folder(clusters) / "key.json"
    told = orjson.loads(key.read_bytes())
    sizes = {name: size for name, size in told["sizes"].items() if not name.startswith("text-")}
    key.write_bytes(orjson.dumps({"key": told["key"], "sizes": sizes}))
    records.write_bytes(records.read_bytes() + b"\n")
    again = match_records(MatchRequest(records, rules, clusters, previous=clusters))
    assert any("was left by another version" in warning for warning in again["warnings"])
    assert clusters.read_bytes() == before
    records.write_bytes(records.read_bytes() + b"\n")
    assert "Compare what changed" in match_records(MatchRequest(records, rules, clusters, previous=clusters))["stages"]


@pytest.mark.parametrize("value", [None, "Anna"])
def test_a_value_that_comes_or_goes_is_a_change(tmp_path: Path, value: str | None) -> None:
    clusters, plan = tmp_path / "clusters.csv", make_plan(MATCHING)
    rows = {f"r{number}": _person(number) for number in range(9)}
    rows["r4"] = rows["r4"] | {"given": "Anna" if value is None else None}
    ids, table = _records(rows)
    pairing, records = LocalPairing(), engine.prepare(table, plan)
    matched = match(records, 0.85, pairing=pairing)
    assert pairing.keys is not None
    _save(clusters, ids, table, matched, kept_of(matched, pairing.keys))
    ids, table = _records(rows | {"r4": rows["r4"] | {"given": value}})
    state = match_state.load(clusters, {"of": "test"}, plan, ids, table, None)
    assert state is not None
    assert np.flatnonzero(state.changed).tolist() == [4]


def test_a_run_from_the_command_goes_on_from_the_state_and_keeps_every_id(tmp_path: Path) -> None:
    rules, records, clusters = tmp_path / "rules.yaml", tmp_path / "people.csv", tmp_path / "clusters.csv"
    rules.write_text("entity: person\nrecord_id: id\nattributes:\n" + "".join(f"  {name}: {kind}\n" for name, kind in KINDS.items()))
    rows = {f"r{number:02}": _person(number) for number in range(64)} | {
        f"s{number:02}": _person(number, True) for number in range(0, 64, 3)
    }

    def write() -> None:
        ids, table = _records(rows)
        pacsv.write_csv(table.add_column(0, "id", ids), records)

    def entities() -> dict[str, str]:
        table = read_columns(clusters, ["record_id", "cluster_id"])
        return dict(zip(table.column("record_id").to_pylist(), table.column("cluster_id").to_pylist(), strict=True))

    write()
    match_records(MatchRequest(records, rules, clusters))
    before = entities()
    rows["n00"] = _person(0) | {"town": None}
    del rows["r63"]
    write()
    result = match_records(
        MatchRequest(records, rules, clusters, previous=clusters, matches=tmp_path / "pairs.csv", report=tmp_path / "r.html")
    )
    assert "Compare what changed" in result["stages"]
    after = entities()
    assert {key: after[key] for key in before if key != "r63"} == {key: value for key, value in before.items() if key != "r63"}
    assert after["n00"] == after["r00"]
    assert (result["joined"], result["left"], result["created"]) == (1, 1, 0)
    again = match_records(MatchRequest(records, rules, tmp_path / "full.csv", previous=clusters, relearn="always", keep_state=False))
    assert "Learn, compare and cluster" in again["stages"]
    assert not match_state.folder(tmp_path / "full.csv").exists()
    assert match_records(
        MatchRequest(records, rules, clusters, previous=clusters, matches=tmp_path / "pairs.csv", report=tmp_path / "r.html")
    )["no_op"]
