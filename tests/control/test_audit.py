"""The audit log can only grow, and shows if anybody changed it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from spine.control import audit
from spine.control.database import TenantDatabase

pytestmark = pytest.mark.postgres


def write(control: TenantDatabase, count: int) -> None:
    for number in range(count):
        audit.record(control, audit.Entry("ana", "mapping_approved", "mapping", str(number), {"a": 1}, {"ä": [number, None]}))


def test_an_entry_keeps_all_its_columns(control: TenantDatabase, tenant: str) -> None:
    audit.record(control, audit.Entry("ana", "connector_added", "connector", "c1", None, {"x": 1}, "10.0.0.1", "curl"))
    (row,) = audit.entries(control)
    assert row["new_value"] == {"x": 1}
    assert (row["id"], row["tenant_id"], row["user_id"], row["ip_address"], row["user_agent"]) == (1, tenant, "ana", "10.0.0.1", "curl")


def test_an_untouched_chain_is_intact(control: TenantDatabase) -> None:
    assert audit.verify_chain(control) == audit.Chain(rows=0, head="", broken_at=None)
    write(control, 3)
    chain = audit.verify_chain(control)
    assert chain.intact
    assert chain.rows == 3
    assert chain.head == audit.entries(control)[0]["hash"]


def test_many_writers_make_one_chain_without_gaps(control: TenantDatabase) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(control, 5), range(8)))
    assert sorted(row["id"] for row in audit.entries(control)) == list(range(1, 41))
    assert audit.verify_chain(control).intact


def test_a_writer_cannot_choose_number_time_or_hash(control: TenantDatabase, tenant: str) -> None:
    with control.begin() as connection:
        connection.execute(
            text("""INSERT INTO spine.audit_log VALUES (:tenant, 99, 'eve', 'a', 'b', 'c', NULL, NULL, NULL, NULL,
                    '2001-01-01', 'forged', 'forged')"""),
            {"tenant": tenant},
        )
    (row,) = audit.entries(control)
    assert row["id"] == 1
    assert row["hash"] != "forged"
    assert row["created_at"].year > 2001


@pytest.mark.parametrize(
    "statement",
    ["UPDATE spine.audit_log SET user_id = 'eve'", "DELETE FROM spine.audit_log", "TRUNCATE spine.audit_log"],
    ids=["update", "delete", "truncate"],
)
def test_neither_the_application_nor_the_owner_changes_it(
    control: TenantDatabase, admin_url: str, control_url: str, statement: str
) -> None:
    write(control, 1)
    with pytest.raises(ProgrammingError, match="permission denied"), control.begin() as connection:
        connection.execute(text(statement))
    with psycopg.connect(admin_url) as owner, pytest.raises(psycopg.Error, match="append-only"):
        owner.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("UPDATE spine.audit_log SET user_id = 'eve' WHERE id = 2 AND tenant_id = %s", 2),
        ("UPDATE spine.audit_log SET new_value = '{}' WHERE id = 2 AND tenant_id = %s", 2),
        ("UPDATE spine.audit_log SET created_at = created_at + interval '1 second' WHERE id = 2 AND tenant_id = %s", 2),
        ("DELETE FROM spine.audit_log WHERE id = 2 AND tenant_id = %s", 3),
        ("DELETE FROM spine.audit_log WHERE id = 1 AND tenant_id = %s", 2),
    ],
    ids=["who", "what", "when", "removed", "first removed"],
)
def test_what_an_administrator_changes_behind_the_triggers_is_found(
    control: TenantDatabase, admin_url: str, tenant: str, tampering: str, broken_at: int
) -> None:
    write(control, 4)
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(tampering, (tenant,))
    assert audit.verify_chain(control).broken_at == broken_at


def test_an_entry_and_its_act_are_kept_together_or_not_at_all(control: TenantDatabase, tenant: str) -> None:
    def act_and_fail() -> None:
        with control.begin() as connection:
            audit.record_in(connection, tenant, audit.Entry("ana", "a", "b", "c"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act_and_fail()
    assert audit.entries(control) == []
