"""One tenant whose rows make each rule of the gate, or the run itself, fail: every other tenant's Silver is that of a run without it.

A rule that is new has to get its hostile tenant here.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable

from spine.core.errors import JobFailed, QualityFailed, SpineError
from spine.lake.paths import table_uri
from spine.normalize import scripts
from spine.pipeline.normalize import normalize_each
from spine.quality.metrics import VOCABULARY

pytestmark = [pytest.mark.spark, pytest.mark.slow]
START = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
GOOD = ("a-good", "m-good", "z-good")  # before, between and after the hostile ones, by name
RULES = {
    "row_count_ratio": {"min": 0.5, "fails": 0.1},
    "null_share": {"field": "city", "max": 0.5, "fails": 0.9},
    "distinct_share": {"field": "city", "min": 0.5, "fails": 0.1},
    "quarantined_share": {"max": 0.2, "fails": 0.5},
    "duplicate_keys": {"max": 0, "fails": 1},
    "freshness_hours": {"max": 100_000, "fails": 200_000},
}
ENTITY = {
    "entity": "thing", "label": "Thing", "domain": "party", "description": "D", "version": 1,
    "fields": {name: {"description": name} for name in ("name", "city", "note")},
    "row_rules": [{"name": "has_a_name", "check": "required", "field": "name", "reason": "no name", "fails": {"name": None}}],
    "table_rules": [{"name": f"on_{metric}", "metric": metric, **rule} for metric, rule in RULES.items()],
}  # fmt: skip
SOURCE = {
    "source": "acme", "label": "A", "domain": "revops",
    "streams": [{
        "name": "things", "key": ["id"], "entity": "thing",
        "mapping": {"fields": {"name": "name", "city": "city", "note": {"from": "note", "script": "fragile"}}},
    }],
}  # fmt: skip
Rows = list[dict[str, Any]]


def thing(tenant: str, number: int, run: int, **fields: Any) -> dict[str, Any]:
    moment = START + dt.timedelta(hours=run)
    payload = {"id": str(number), "name": f"n{number}", "city": f"c{number}", "note": f"t{run}"} | fields
    return {"tenant_id": tenant, "record_id": str(number), "cursor": moment.isoformat(), "emitted_at": moment, "op": "upsert",
            "payload": payload}  # fmt: skip


def raw(tenant: str, run: int, payload: str) -> dict[str, Any]:
    return thing(tenant, 50, run) | {"payload": payload}


def usual(tenant: str, run: int) -> Rows:
    return [thing(tenant, number, run) for number in range(10)]


def old(tenant: str, run: int) -> Rows:
    long_ago = {"cursor": f"19{70 + run}-01-01T00:00:00.000000Z", "emitted_at": dt.datetime(1970 + run, 1, 1, tzinfo=dt.UTC)}
    return [thing(tenant, number, run) | long_ago for number in range(100, 110)]


def doubled(tenant: str, run: int) -> Rows:
    return usual(tenant, run) * 2


# By metric: what the tenant feeds in the last run, and the rule that refuses it.
HOSTILE: dict[str, Callable[[str, int], Rows]] = {
    "row_count_ratio": lambda tenant, run: usual(tenant, run)[:1],
    "null_share": lambda tenant, run: [thing(tenant, number, run, city=None) for number in range(10)],
    "distinct_share": lambda tenant, run: [thing(tenant, number, run, city="c") for number in range(20)],
    "quarantined_share": lambda tenant, run: [thing(tenant, number, run, name=None) for number in range(10)],
    "freshness_hours": old,
}
# No feed can fail these: of rows of one key, one is staged.
UNFAILING: dict[str, Callable[[str, int], Rows]] = {"duplicate_keys": doubled}
# What makes the run itself fail, and not only a row of it.
POISON: dict[str, Callable[[str, int], Rows]] = {
    "dead-worker": lambda tenant, run: [thing(tenant, 1, run, note="die")],
}
# What once did, and now is a row of its own.
TAMED: dict[str, Callable[[str, int], Rows]] = {
    "year-10000": lambda tenant, run: [*usual(tenant, run), thing(tenant, 50, run) | {"cursor": "9999-12-31T23:59:59-18:00"}],
    "long-key": lambda tenant, run: [*usual(tenant, run), thing(tenant, 50, run) | {"record_id": "k" * 5000}],
    "failing-script": lambda tenant, run: [*usual(tenant, run), thing(tenant, 50, run, note="raise")],
    "deep-json": lambda tenant, run: [
        *usual(tenant, run),
        thing(tenant, 50, run) | {"payload": '{"name":' + "[" * 5000 + "]" * 5000 + "}"},
    ],
    "long-number": lambda tenant, run: [
        *usual(tenant, run),
        thing(tenant, 50, run) | {"payload": '{"name":"x","n":' + "9" * 100_000 + "}"},
    ],
}


def named(metric: str) -> str:
    return f"h-{metric.replace('_', '-')}"


@pytest.fixture(scope="module")
def world(append_to_bronze, tmp_path_factory, monkeypatch_module, spark):
    folder = tmp_path_factory.mktemp("hostile")
    for kind, declared, name in (("sources", SOURCE, "acme"), ("entities", ENTITY, "thing")):
        (folder / kind).mkdir()
        (folder / kind / f"{name}.yaml").write_text(yaml.safe_dump(declared))
        monkeypatch_module.setenv(f"SPINE_{kind.upper()}", str(folder / kind))
    (folder / "home").mkdir()
    monkeypatch_module.setenv("SPINE_HOME", str(folder / "home"))
    fragile = eval("lambda text: __import__('os')._exit(9) if text == 'die' else text + 1 if text == 'raise' else text")  # noqa: S307
    monkeypatch_module.setitem(scripts.VOCABULARY._entries, "fragile", fragile)

    def run(name: str, feeds: dict[str, Callable[[str, int], Rows]]) -> tuple[dict[str, Rows], dict[str, SpineError]]:
        monkeypatch_module.setenv("SPINE_LAKE", str(folder / name))
        os.makedirs(folder / name)
        failures: list[SpineError] = []
        for number in range(4):
            last = number == 3
            rows = [row for tenant, feed in feeds.items() for row in (feed if last else usual)(tenant, number)]
            append_to_bronze("acme", "things", rows)
            failures = list(normalize_each(spark, "acme", f"r{number}").failures)
        found: dict[str, Rows] = {tenant: [] for tenant in feeds}
        for row in DeltaTable(table_uri("acme_thing")).to_pyarrow_table().sort_by("record_ref").to_pylist():
            found[row["tenant_id"]].append({key: value for key, value in row.items() if key not in ("updated_at", "run_id")})
        return found, {error.where["tenant"]: error for error in failures}

    return run


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def alone(world):
    return world("alone", dict.fromkeys(GOOD, usual))[0]


@pytest.fixture(scope="module")
def among_the_refused(world, alone):
    return world("refused", dict.fromkeys(GOOD, usual) | {named(metric): feed for metric, feed in (HOSTILE | UNFAILING).items()})


@pytest.fixture(scope="module")
def among_poison(world, alone):
    return world("poison", dict.fromkeys(GOOD, usual) | {f"h-{name}": feed for name, feed in (POISON | TAMED).items()})


def test_every_metric_has_its_hostile_tenant():
    assert HOSTILE.keys() | UNFAILING.keys() == RULES.keys() == set(VOCABULARY)


@pytest.mark.parametrize("metric", HOSTILE)
def test_a_tenant_that_fails_the_rule_keeps_what_it_had_and_is_named(among_the_refused, metric):
    silver, failures = among_the_refused
    error = failures[named(metric)]
    assert isinstance(error, QualityFailed)
    assert f"on_{metric}" in error.message
    assert {row["note"] for row in silver[named(metric)]} == {"t2"}


@pytest.mark.parametrize("metric", UNFAILING)
def test_what_no_feed_can_fail_passes(among_the_refused, metric):
    silver, failures = among_the_refused
    assert named(metric) not in failures
    assert {row["note"] for row in silver[named(metric)]} == {"t3"}


@pytest.mark.parametrize("tenant", GOOD)
@pytest.mark.parametrize("others", ["among_the_refused", "among_poison"])
def test_everybody_elses_silver_is_that_of_a_run_alone(alone, others, request, tenant):
    silver, failures = request.getfixturevalue(others)
    assert tenant not in failures
    assert len(alone[tenant]) == 10
    assert silver[tenant] == alone[tenant]


@pytest.mark.parametrize("name", POISON)
def test_a_tenant_whose_rows_make_the_run_fail_is_found_and_named(among_poison, name):
    silver, failures = among_poison
    assert isinstance(failures[f"h-{name}"], JobFailed)
    assert {row["note"] for row in silver[f"h-{name}"]} == {"t2"}
    assert failures.keys() == {f"h-{found}" for found in POISON}


@pytest.mark.parametrize("name", TAMED)
def test_a_row_that_cannot_be_read_costs_its_own_tenant_no_more_than_itself(among_poison, name):
    silver, _ = among_poison
    assert "t3" in {row["note"] for row in silver[f"h-{name}"]}
