"""A lookup finds the golden record of given values in published Gold, by the weights of matching, and sees one tenant only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from spine.control.bootstrap import ensure_analyst
from spine.control.database import Database
from spine.core.errors import ConfigError
from spine.core.failpoints import failpoint
from spine.gold import lookup_stamp
from spine.gold import publish as publishing
from spine.gold.lookup import Answer, Lookup, values_by_kind
from spine.gold.publish import publish

pytestmark = pytest.mark.postgres
Ask = Callable[[str], list[tuple[Any, ...]]]
ATTRIBUTES = ("given_name", "family_name", "email", "phone", "birth_date", "street", "city", "postcode")


@pytest.fixture
def ask(admin_url: str) -> Ask:
    """Rows of a query, by somebody who sees everything."""

    def run(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(admin_url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    return run


@pytest.fixture
def world(gold_world: Any) -> Any:
    """Sixty people in one system, a third of them in a second one without street and with another phone."""
    gold_world.put("salesforce", gold_world.crowd())
    gold_world.put("hubspot", [{**row, "id": f"h{row['id']}", "street": None, "phone": None} for row in gold_world.crowd()[::3]])
    return gold_world


def values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(row[name]) if row.get(name) else None for name in ATTRIBUTES}


def everything(ask: Ask) -> dict[str, Any]:
    """What a lookup reads, whatever numbers and buckets it is kept under."""
    from spine.identity.blocking import postings

    number = dict(ask("SELECT number, record_ref FROM gold.lookup_records"))
    packed = postings.unpack([bytes(row[0]) for row in ask("SELECT postings FROM gold.lookup_keys")])
    return {
        "records": sorted(ask("SELECT record_ref, entity_id, features FROM gold.lookup_records")),
        "keys": sorted((int(key), number[int(record)]) for key, record in packed),
        "count": ask("SELECT records FROM gold.lookup_models"),
    }


def test_every_record_finds_its_own_entity_by_its_values(url: str, world: Any) -> None:
    ids = world.resolve()
    publish("person", "run-1", url=url)
    lookup = Lookup(Database(url), "person")
    for row in world.crowd():
        answer = lookup.find(values(row))
        assert answer.hits[0].entity_id == ids[row["id"]]
        assert (answer.hits[0].decision, answer.hits[0].golden["family_name"]) == ("accepted", row["family_name"])
        assert answer.hits[0].records == (2 if int(row["id"][1:]) % 3 == 0 else 1)


def test_the_weight_is_that_of_matching_and_its_steps_add_up(url: str, world: Any) -> None:
    from spine.lake import gold

    world.resolve()
    publish("person", "run-1", url=url)
    stored = {row["right_ref"]: row["weight"] for row in gold.read_rows(gold.MATCHES, [("tenant_id", "=", "default")])}
    answer = Lookup(Database(url), "person").find({**values(world.crowd()[0]), "street": None, "phone": None})
    own = answer.hits[0]
    assert own.weight == pytest.approx(stored["salesforce:contacts:c000"])
    assert sum(step["weight"] + step["tf_adjustment"] for step in own.waterfall) == pytest.approx(own.weight, abs=0.02)


def test_a_person_who_is_not_there_is_not_found(url: str, world: Any) -> None:
    world.resolve()
    publish("person", "run-1", url=url)
    lookup = Lookup(Database(url), "person")
    absent = {"given_name": "Zoltan", "family_name": "Quirke", "email": "zq@elsewhere.org", "birth_date": "1931-12-30"}
    assert [hit for hit in lookup.find(absent).hits if hit.decision != "rejected"] == []
    twin = {**values(world.crowd()[0]), "birth_date": "1999-12-24"}
    assert lookup.find(twin).hits[0].decision == "rejected"


def test_a_slip_of_the_pen_is_forgiven(url: str, world: Any) -> None:
    ids = world.resolve()
    publish("person", "run-1", url=url)
    row = world.crowd()[7]
    answer = Lookup(Database(url), "person").find({"given_name": row["given_name"][:-1], "family_name": row["family_name"].upper(),
                                                   "birth_date": row["birth_date"], "phone": row["phone"]})  # fmt: skip
    assert answer.hits[0].entity_id == ids[row["id"]]


def test_values_without_content_or_of_unknown_attributes_are_refused(url: str, world: Any) -> None:
    world.resolve()
    publish("person", "run-1", url=url)
    lookup = Lookup(Database(url), "person")
    with pytest.raises(ConfigError, match="no value to look for"):
        lookup.find({"email": "n/a", "given_name": " "})
    with pytest.raises(ConfigError, match=r"shoe_size.*given_name"):
        lookup.find({"shoe_size": "44"})
    with pytest.raises(ConfigError, match="no entity 'shoe'"):
        Lookup(Database(url), "shoe")


def test_names_are_parted_as_matching_does_it() -> None:
    assert values_by_kind("person", {"name": "Dr. Jane van Okonkwo", "email": "J@x.org", "phone": None}) == {
        "given_name": "jane", "family_name": "van okonkwo", "email": "J@x.org",
    }  # fmt: skip
    assert values_by_kind("person", {"name": "Okonkwo"}) == {"family_name": "okonkwo"}
    assert values_by_kind("organization", {"name": "Acme Ltd", "url": "acme.com"}) == {"name": "Acme Ltd", "website": "acme.com"}
    with pytest.raises(ConfigError, match="organization is not matched by date"):
        values_by_kind("organization", {"date": "1990-01-01"})


def test_nothing_published_says_what_to_run(url: str, lake: str) -> None:
    with pytest.raises(ConfigError, match="spine publish person"):
        Lookup(Database(url), "person").find({"email": "a@b.org"})


def test_other_rules_than_the_published_ones_are_refused(url: str, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.resolve()
    publish("person", "run-1", url=url)
    lookup = Lookup(Database(url), "person")
    monkeypatch.setattr(lookup_stamp, "FORMAT", 99)
    with pytest.raises(ConfigError, match="changed since it was published"):
        lookup.find({"email": "a@b.org"})


class TestPublication:
    """Only what differs is written, and what is there is always that of a first publication."""

    def test_keys_of_a_changed_record_leave_the_buckets_of_others_alone(self, url: str, world: Any, ask: Ask) -> None:
        world.resolve()
        publish("person", "run-1", url=url)
        before = dict(ask("SELECT bucket, xmin::text FROM gold.lookup_keys"))
        world.put("salesforce", [{**world.crowd()[4], "phone": "+49307654399"}])
        world.resolve()
        publish("person", "run-2", url=url)
        after = dict(ask("SELECT bucket, xmin::text FROM gold.lookup_keys"))
        same = sum(after[bucket] == before.get(bucket) for bucket in after)
        assert 0 < same < len(after)

    def test_changed_new_and_deleted_records_replace_their_own_keys_only(self, url: str, world: Any, ask: Ask) -> None:
        world.resolve()
        publish("person", "run-1", url=url)
        people = world.crowd(62)
        before = dict(ask("SELECT record_ref, xmin::text FROM gold.lookup_records"))
        world.put("salesforce", [{**people[4], "email": "new@firm.com", "family_name": "Zufall"}, people[60], people[61]])
        world.put("salesforce", [{**people[5], "is_deleted": True}])
        ids = world.resolve()
        result = publish("person", "run-2", url=url)
        assert result["tables"]["lookup_records"] == {"inserted": 3, "updated": 0, "deleted": 2}
        after = dict(ask("SELECT record_ref, xmin::text FROM gold.lookup_records"))
        fresh = {f"salesforce:contacts:c{number:03}" for number in (4, 60, 61)}
        assert {ref for ref in after if after[ref] != before.get(ref)} == fresh
        assert "salesforce:contacts:c005" not in after
        grown = everything(ask)
        lookup = Lookup(Database(url), "person")
        assert lookup.find({"email": "new@firm.com", "family_name": "Zufall"}).hits[0].entity_id == ids["c004"]
        assert [hit for hit in lookup.find(values(people[5])).hits if hit.decision == "accepted"] == []
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SET ROLE spine_publisher")
            for table in ("publication_state", "lookup_models", "lookup_records", "lookup_keys"):
                connection.execute(f"DELETE FROM gold.{table}")  # type: ignore[arg-type]
        publish("person", "run-3", url=url)
        assert everything(ask) == grown

    def test_a_record_that_moves_to_another_entity_is_found_there(self, url: str, world: Any, ask: Ask) -> None:
        world.resolve()
        publish("person", "run-1", url=url)
        people = world.crowd()
        world.put("hubspot", [{**people[1], "id": "hc000"}])
        ids = world.resolve()
        publish("person", "run-2", url=url)
        assert ids["hc000"] == ids["c001"]
        assert Lookup(Database(url), "person").find(values(people[1])).hits[0].records == 2

    def test_new_weights_make_everything_anew_and_warm_lookups_take_them(self, url: str, world: Any, ask: Ask) -> None:
        world.resolve()
        publish("person", "run-1", url=url)
        lookup = Lookup(Database(url), "person")
        assert lookup.find(values(world.crowd()[3])).model_version == 1
        ids = world.resolve(relearn="always")
        assert publish("person", "run-2", url=url)["tables"]["lookup_records"] == {"inserted": 80, "updated": 0, "deleted": 80}
        answer = lookup.find(values(world.crowd()[3]))
        assert (answer.model_version, answer.hits[0].entity_id) == (2, ids["c003"])

    def test_a_failure_leaves_the_former_lookup(self, url: str, world: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        world.resolve()
        publish("person", "run-1", url=url)
        before = everything(ask)
        world.put("salesforce", [{**world.crowd()[4], "email": "new@firm.com"}])
        world.resolve()

        def stop(place: str) -> None:
            failpoint(place)
            if place == "publish.before_swap":
                raise KeyboardInterrupt

        monkeypatch.setattr(publishing, "failpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            publish("person", "run-2", url=url)
        monkeypatch.setattr(publishing, "failpoint", failpoint)
        assert everything(ask) == before
        assert publish("person", "run-2", url=url)["published"] is True
        assert publish("person", "run-3", url=url)["published"] is False
        assert "new@firm.com" in str(everything(ask)["records"])

    def test_a_change_in_silver_alone_reaches_the_lookup(self, url: str, world: Any) -> None:
        ids = world.resolve()
        publish("person", "run-1", url=url)
        world.put("salesforce", [{**world.crowd()[4], "phone": "+49891234987"}])
        assert publish("person", "run-2", url=url)["tables"]["lookup_records"]["inserted"] == 1
        found = Lookup(Database(url), "person").find({"phone": "+49891234987", "family_name": world.crowd()[4]["family_name"]})
        assert found.hits[0].entity_id == ids["c004"]


class TestTenants:
    """Analysts of one tenant find, and read, their own records only."""

    @pytest.fixture
    def find(self, url: str, admin_url: str, world: Any) -> Callable[[str], Answer]:
        for tenant in ("acme", "bolt"):
            ensure_analyst(admin_url, tenant)
            world.put("salesforce", world.crowd(12 if tenant == "acme" else 6), tenant)
            world.resolve(tenant)
        publish("person", "run-1", url=url)
        return lambda tenant: Lookup(Database(url), "person", tenant).find(values(world.crowd()[8]))

    def test_a_lookup_sees_its_tenant_only(self, find: Callable[[str], Answer]) -> None:
        assert find("acme").hits[0].decision == "accepted"
        assert [hit for hit in find("bolt").hits if hit.decision == "accepted"] == []

    @pytest.mark.parametrize("table", ["lookup_models", "lookup_records", "lookup_keys", "person_evidence"])
    def test_rows_of_one_tenant_are_all_there_is(self, find: Callable[[str], Answer], url: str, table: str) -> None:
        database = Database(url)
        for tenant in ("acme", "bolt"):
            with database.of(tenant).reading_gold() as connection:
                seen = connection.exec_driver_sql(f"SELECT DISTINCT tenant_id FROM gold.{table}").scalars().all()
            assert seen in ([tenant], []) if table == "person_evidence" else seen == [tenant]

    def test_indexes_serve_those_who_see_one_tenant_only(self, find: Callable[[str], Answer], url: str) -> None:
        """Row-level security keeps a condition out of an index unless its operator leaks nothing."""
        with Database(url).of("acme").reading_gold() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            for table, column in (("lookup_records", "number"), ("lookup_keys", "bucket")):
                query = (
                    f"EXPLAIN SELECT FROM gold.{table} WHERE tenant_id = 'acme' AND entity = 'person' AND {column} = ANY('{{1}}'::bigint[])"
                )
                assert f"{column} = ANY" in str([row for row in connection.exec_driver_sql(query).scalars() if "Index Cond" in row])
