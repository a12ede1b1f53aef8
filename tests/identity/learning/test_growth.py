"""When weights are learned anew: once the records are half as many again, or are of another kind than those that they were learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity.learning.growth import Basis, Learning, decide, outgrown
from spine.identity.learning.model import Model

KINDS: dict[str, Any] = {"given": "forename", "family": "surname", "mail": "email", "note": "ignore"}
THEN = Basis(1_000, {"crm": 700, "shop": 300}, {"given": 1_000, "family": 1_000, "mail": 40}, "a")


def _table(rows: int, source: str = "crm", mail: bool = True) -> pa.Table:
    text = [f"x{number}" for number in range(rows)]
    columns = {"given": text, "family": text, "mail": text if mail else [None] * rows, "note": text, "source": [source] * rows}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def test_a_basis_counts_records_sources_and_filled_attributes_that_are_compared():
    both = pa.concat_tables([_table(3), _table(2, "shop", mail=False)])
    basis = Basis.of(both, Matching.model_validate({"attributes": KINDS}), "source")
    assert (basis.records, basis.sources, basis.filled) == (5, {"crm": 3, "shop": 2}, {"given": 5, "family": 5, "mail": 3})
    assert Basis.of(both, Matching.model_validate({"attributes": KINDS})).sources == {}


@pytest.mark.parametrize(
    ("now", "altered", "why"),
    [
        pytest.param(replace(THEN, records=1_499), {}, "", id="not yet half as many again"),
        pytest.param(replace(THEN, records=1_500), {}, "there are 1,500 records, 1,000 when", id="half as many again"),
        pytest.param(replace(THEN, sources={"crm": 700, "shop": 300, "desk": 60}), {}, "source desk is new", id="a source"),
        pytest.param(replace(THEN, sources={"crm": 700, "shop": 300, "desk": 49}), {}, "", id="a few records of a source"),
        pytest.param(replace(THEN, records=1_400, sources={"crm": 700, "": 60}), {}, "source (none) is new", id="no source"),
        pytest.param(replace(THEN, filled=THEN.filled | {"mail": 400}), {}, "attribute mail is filled now", id="an attribute"),
        pytest.param(replace(THEN, filled=THEN.filled | {"mail": 399}), {}, "", id="an attribute that was there"),
        pytest.param(replace(THEN, declared="b"), {}, "declared otherwise", id="a declaration"),
        pytest.param(THEN, {"shop": 150}, "150 records of source shop changed at once", id="half of a source"),
        pytest.param(THEN, {"crm": 150, "shop": 40}, "", id="news"),
    ],
)
def test_weights_are_outgrown_by_size_and_by_kind(now: Basis, altered: dict[str, int], why: str):
    found = outgrown(THEN, now, altered)
    assert why in found
    assert bool(found) == bool(why)


def test_a_handful_of_records_teaches_less_than_what_is_believed():
    assert not outgrown(replace(THEN, records=2), replace(THEN, records=49), {})
    assert outgrown(replace(THEN, records=2), replace(THEN, records=50), {})


def test_what_is_asked_for_stands_above_what_the_data_says():
    grown = replace(THEN, records=5_000)
    assert decide("auto", True, THEN, None, THEN, {}) == Learning("keep")
    assert decide("auto", True, THEN, None, grown, {}).way == "learn"
    assert decide("never", True, THEN, None, THEN, {}) == Learning("keep")
    assert decide("always", True, THEN, None, THEN, {}) == Learning("learn", "it was asked for", asked=True)
    assert decide("never", True, None, None, grown, {}) == Learning("learn")


def test_pinned_weights_get_frequencies_and_heavy_keys_of_what_has_grown_once():
    grown = replace(THEN, records=5_000)
    assert decide("never", True, THEN, None, grown, {}).way == "recount"
    assert decide("never", True, THEN, grown, grown, {}).way == "keep"
    assert decide("auto", True, THEN, grown, grown, {}).way == "learn"  # once they are not pinned any more


def test_weights_that_do_not_fit_the_engine_are_learned_even_if_pinned():
    assert decide("never", False, THEN, None, THEN, {}).way == "learn"


def test_a_threshold_needs_no_new_weights_and_kinds_do():
    one = Matching.model_validate({"attributes": KINDS, "threshold": 0.9})
    assert Basis.of(_table(1), one).declared == Basis.of(_table(1), one.model_copy(update={"threshold": 0.8})).declared
    other = Matching.model_validate({"attributes": KINDS | {"note": "text"}})
    assert Basis.of(_table(1), one).declared != Basis.of(_table(1), other).declared


def test_a_model_of_a_former_version_knows_its_number_of_records_alone():
    model = Model(100, -3.0, -3.0, {}, {}, {})
    written = {name: value for name, value in orjson.loads(model.to_json()).items() if name not in ("basis", "counted", "why")}
    former = Model.from_json(orjson.dumps(written).decode())
    assert former.learned_from == Basis(100)
    assert not outgrown(former.learned_from, replace(THEN, records=149), {"shop": 300})
    assert outgrown(former.learned_from, replace(THEN, records=150), {})


def test_a_model_keeps_what_it_was_learned_from():
    model = Model(1_000, -3.0, -3.0, {}, {}, {}, basis=THEN, counted=replace(THEN, records=9), why="because")
    assert Model.from_json(model.to_json()) == model
