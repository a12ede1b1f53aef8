"""One tenant whose records pass each limit of Gold, or cannot be resolved at all: every other tenant's Gold is that of a run without it.

A limit that is new has to get its hostile tenant here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from spine.core.errors import JobFailed, LakeError, QualityFailed, SpineError, error_from_dict
from spine.gold import stewardship
from spine.identity.golden import limits
from spine.identity.golden.limits import Rule
from spine.lake import gold
from spine.lake.paths import table_uri
from spine.pipeline.resolve import resolve_each

pytestmark = pytest.mark.slow
GOOD = ("a-good", "m-good", "z-good")  # before, between and after the hostile ones, by name
Rows = list[dict[str, Any]]
NAMES = ("Okonkwo", "Adeyemi", "Lindqvist", "Moreau", "Kowalski", "Ferrari", "Haas", "Novak", "Rossi", "Sato")


def person(number: int, name: int | None = None) -> dict[str, Any]:
    """Somebody of that number, whom nobody resembles; with the details of `name`, if given."""
    of = number if name is None else name
    family = NAMES[of % 10]
    return {
        "id": f"p{number:03}", "given_name": f"{family[::-1].title()}{chr(97 + of // 10)}", "family_name": family,
        "email": f"{family}.{of}@firm{of}.example".lower(), "phone": f"+44113{of * 7919 + 2000000}", "postcode": f"L{of} 4AP",
    }  # fmt: skip


def crowd() -> Rows:
    return [person(number) for number in range(10)]


def usual(world: Any, tenant: str) -> None:
    world.put("hubspot", [person(90, name=3)], tenant)


def larger(world: Any, tenant: str) -> None:
    world.put("hubspot", [person(number, name=1) | {"postcode": f"L{number} 4AP"} for number in range(100, 135)], tenant)


def merging(world: Any, tenant: str) -> None:
    world.put("salesforce", [person(number, name=number - number % 2) for number in range(10)], tenant)


def outgrowing(world: Any, tenant: str) -> None:
    """So many are new that weights are learned anew, while most of those who were there become one."""
    merged = [person(number, name=number - number % 5) for number in range(10)]
    world.put("salesforce", [*merged, *(person(number) for number in range(100, 170))], tenant)


def weakly_linked(world: Any, tenant: str) -> None:
    weak = {"email": None, "phone": None}
    world.put("hubspot", [person(50 + number, name=number) | weak for number in range(10)], tenant)


def linked_by_a_steward(world: Any, tenant: str) -> None:
    """Pairs that a steward tied, since they were alike, become quite different."""
    for number in range(3):
        world.put("hubspot", [person(60 + number, name=number)], tenant)
    resolve_each(None, "person", f"before {tenant}")
    for number in range(3):
        refs = [f"salesforce:contacts:p{number:03}", f"hubspot:contacts:p{60 + number:03}"]
        stewardship.order("link", tenant=tenant, actor="eve", reason="same", run_id=f"o{number}", records=refs)
    world.put("hubspot", [person(60 + number, name=25 + number) for number in range(3)], tenant)


def parted_by_a_steward(world: Any, tenant: str) -> None:
    """Pairs that a steward keeps apart, which were not alike, become so."""
    for number in (0, 2, 4):
        refs = [f"salesforce:contacts:p{number:03}", f"salesforce:contacts:p{number + 1:03}"]
        stewardship.order("unlink", tenant=tenant, actor="eve", reason="two", run_id=f"u{number}", records=refs)
    world.put("salesforce", [person(number + 1, name=number) for number in (0, 2, 4)], tenant)


def doubled(world: Any, tenant: str) -> None:
    """Two rows of one key in Silver, as no MERGE leaves them and a damaged table may."""
    world.put("hubspot", [person(95)], tenant)
    uri = table_uri("hubspot_person")
    mine = DeltaTable(uri).to_pyarrow_dataset(partitions=[("tenant_id", "=", tenant)]).to_table()
    write_deltalake(uri, mine, mode="append")


def spoilt_model(world: Any, tenant: str) -> None:
    """Weights that nobody can read."""
    usual(world, tenant)
    uri = table_uri(gold.MODELS)
    rows = DeltaTable(uri).to_pyarrow_table().to_pylist()
    (mine,) = [row for row in rows if row["tenant_id"] == tenant]
    table = DeltaTable(uri)
    spoilt = pl.DataFrame([mine | {"model_version": 2, "parameters": '{"m": "none"}'}]).to_arrow()
    write_deltalake(table, spoilt.cast(gold.SCHEMAS[gold.MODELS]), mode="append")


def lost_file(world: Any, tenant: str) -> None:
    """A data file of the tenant is gone."""
    usual(world, tenant)
    table = DeltaTable(table_uri("hubspot_person"))
    for uri in table.file_uris([("tenant_id", "=", tenant)]):
        with open(uri.removeprefix("file://"), "wb") as file:
            file.write(b"PAR1 no more")


HOSTILE: dict[Rule, Callable[[Any, str], None]] = {
    Rule.CLUSTER_SIZE_JUMP: larger,
    Rule.WEAK_LINKS: weakly_linked,
    Rule.ID_CHURN: merging,
    Rule.RELEARNED_CHURN: outgrowing,
    Rule.LABEL_RECALL: linked_by_a_steward,
    Rule.LABEL_PRECISION: parted_by_a_steward,
    Rule.UNIQUE_KEYS: doubled,
}
BROKEN: dict[str, tuple[Callable[[Any, str], None], type[SpineError]]] = {
    "spoilt-model": (spoilt_model, JobFailed),
    "lost-file": (lost_file, LakeError),
}


def named(word: str) -> str:
    return f"h-{word.replace('_', '-')}"


FEEDS = {named(rule): feed for rule, feed in HOSTILE.items()} | {named(word): feed for word, (feed, _) in BROKEN.items()}


def gold_of(tenant: str) -> dict[str, Any]:
    times = ("linked_at", "matched_at", "created_at", "first_seen_at", "updated_at", "run_id", "model_version")
    found = {}
    for name in (gold.LINKS, gold.MATCHES, "gold_party_person"):
        rows = pl.read_delta(table_uri(name)).filter(pl.col("tenant_id") == tenant).to_dicts()
        found[name] = sorted(({key: value for key, value in row.items() if key not in times} for row in rows), key=repr)
    return found


@pytest.fixture(scope="module")
def two_worlds(tmp_path_factory):
    """Gold of the good tenants alone, and among the hostile ones; why these were refused, and what they had before."""
    from tests.conftest import GoldWorld

    def run(name: str, feeds: dict[str, Callable[[Any, str], None]]):
        patch.setenv("SPINE_LAKE", str(tmp_path_factory.mktemp(name)))
        world = GoldWorld()
        for tenant in feeds:
            world.put("salesforce", crowd(), tenant)
        resolve_each(None, "person", "r1")
        before = {tenant: gold_of(tenant) for tenant in feeds}
        for tenant, feed in sorted(feeds.items(), key=lambda item: item[1] is not linked_by_a_steward):  # that one resolves in between
            feed(world, tenant)
            if tenant == named(Rule.LABEL_RECALL):
                before[tenant] = gold_of(tenant)
        with pytest.MonkeyPatch.context() as strict:
            strict.setattr(limits, "FEW", 6)
            strict.setattr(limits, "LARGEST_ENTITY", 30)  # so many that weights stay, which would know better of more
            strict.setattr(limits, "FEW_LABELS", 3)
            strict.setattr(limits, "WEAK_LINK", 1.1)
            errors = [error_from_dict(found) for found in resolve_each(None, "person", "r2").get("failures", [])]
        after = {tenant: gold_of(tenant) for tenant in feeds}
        return before, after, {error.where["tenant"]: error for error in errors}

    with pytest.MonkeyPatch.context() as patch:
        _, alone, none = run("alone", dict.fromkeys(GOOD, usual))
        assert not none
        before, after, failures = run("among", dict.fromkeys(GOOD, usual) | FEEDS)
    return alone, before, after, failures


def test_every_limit_has_its_hostile_tenant():
    assert HOSTILE.keys() == set(Rule)


@pytest.mark.parametrize("rule", HOSTILE)
def test_a_tenant_beyond_the_limit_is_refused_by_name(two_worlds, rule):
    *_, failures = two_worlds
    error = failures[named(rule)]
    assert isinstance(error, QualityFailed)
    assert error.where["rule"] == rule


@pytest.mark.parametrize("word", BROKEN)
def test_a_tenant_that_cannot_be_resolved_is_named(two_worlds, word):
    *_, failures = two_worlds
    assert isinstance(failures[named(word)], BROKEN[word][1])


@pytest.mark.parametrize("tenant", FEEDS)
def test_the_hostile_tenant_keeps_the_gold_that_it_had(two_worlds, tenant):
    _, before, after, failures = two_worlds
    assert tenant in failures
    if tenant != named(Rule.LABEL_PRECISION):  # whose orders are Gold too
        assert after[tenant] == before[tenant]


@pytest.mark.parametrize("tenant", GOOD)
def test_everybody_elses_gold_is_that_of_a_run_alone(two_worlds, tenant):
    alone, before, after, failures = two_worlds
    assert tenant not in failures
    assert after[tenant] != before[tenant]
    assert after[tenant] == alone[tenant]
