"""An analyst reads the Gold of the own tenant and reaches nothing else, by no way that SQL offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.control.database import Database
from spine.gold.publish import publish

pytestmark = pytest.mark.postgres
Ask = Callable[..., list[tuple[Any, ...]]]
RELATIONS = (
    "person", "person_sources", "person_matches", "organization", "organization_sources", "organization_matches", "changes", "redirects",
    "person_evidence", "organization_evidence",
    "publications", "party_person", "party_organization", "identity_links", "identity_matches", "identity_changes", "identity_redirects",
    "publication_log",
)  # fmt: skip


@pytest.fixture
def analyst(admin_url: str, gold: Callable[..., None]) -> Iterator[Ask]:
    """Queries as the analysts of `acme`, where `bolt` and `default` have golden records too."""
    url = bootstrap(admin_url)
    roles = {tenant: ensure_analyst(admin_url, tenant) for tenant in ("acme", "bolt")}
    for entity in ("person", "organization"):
        gold(entity, {"acme": 2, "bolt": 3, "default": 4})
        publish(entity, "run-1", url=url)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("ANALYZE")

    def ask(query: str, tenant: str = "acme") -> list[tuple[Any, ...]]:
        with psycopg.connect(admin_url, user=roles[tenant], autocommit=True) as connection:
            cursor = connection.execute(query)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    yield ask
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gold CASCADE")


@pytest.mark.parametrize("relation", RELATIONS)
def test_rows_of_one_tenant_are_all_there_is(analyst: Ask, relation: str) -> None:
    for tenant in ("acme", "bolt"):
        assert analyst(f"SELECT DISTINCT tenant_id FROM gold.{relation}", tenant) == [(tenant,)]


def test_ids_of_another_tenant_lead_nowhere(analyst: Ask) -> None:
    assert analyst("SELECT gold.current_id('old_per_bolt_0'), gold.current_id('old_per_acme_0')") == [(None, "per_acme_0")]
    assert analyst("SELECT * FROM gold.person WHERE entity_id LIKE '%bolt%'") == []


def test_statistics_and_comments_tell_nothing_of_others(analyst: Ask) -> None:
    told = analyst("SELECT * FROM pg_stats WHERE schemaname = 'gold'") + analyst("SELECT description FROM pg_description")
    told += analyst("SELECT * FROM pg_stats_ext")
    assert not [row for row in told if "bolt" in str(row)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst("SELECT * FROM pg_statistic")


def test_a_cheap_leaky_condition_sees_no_foreign_row(analyst: Ask) -> None:
    """A condition that fails on certain values must not run before the tenant is checked."""
    assert len(analyst("SELECT 1 / (CASE WHEN tenant_id = 'bolt' THEN 0 ELSE 1 END) FROM gold.party_person")) == 2
    assert len(analyst("SELECT 1 FROM gold.person WHERE 1 / (CASE WHEN entity_id LIKE '%bolt%' THEN 0 ELSE 1 END) = 1")) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM spine.tenants",
        "SELECT * FROM gold.publication_state",
        "SELECT * FROM gold.tenant_access",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE TABLE gold.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "INSERT INTO gold.identity_links (tenant_id, entity, record_ref) VALUES ('acme', 'person', 'x')",
        "UPDATE gold.person SET city = 'x'",
        "UPDATE gold.party_person SET city = 'x'",
        "DELETE FROM gold.party_person",
        "TRUNCATE gold.party_person",
        "ALTER TABLE gold.party_person DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON gold.party_person",
        "CREATE POLICY mine ON gold.party_person USING (true)",
        "SET ROLE spine_publisher",
        "SET ROLE spine_app",
        "SET ROLE analyst_bolt",
        "SET ROLE analyst",
        "SET SESSION AUTHORIZATION analyst_bolt",
        "COPY gold.party_person TO '/tmp/out'",
        "COPY gold.party_person TO PROGRAM 'cat'",
        "SELECT lo_import('/etc/passwd')",
        "DO $$ BEGIN EXECUTE 'SET ROLE analyst_bolt'; END $$",
    ],
)
def test_nothing_else_is_allowed(analyst: Ask, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
        analyst(statement)


@pytest.mark.parametrize(
    "setting", ["spine.tenant = 'bolt'", "row_security = off", "search_path = pg_temp, public", "spine.tenants = '{bolt}'"]
)
def test_no_setting_shows_another_tenant(analyst: Ask, setting: str) -> None:
    for relation in ("gold.party_person", "gold.person"):
        try:
            seen = analyst(f"SET {setting}; SELECT DISTINCT tenant_id FROM {relation}")
        except psycopg.errors.InsufficientPrivilege:
            continue  # with row_security off PostgreSQL refuses instead of filtering
        assert seen in ([], [("acme",)])


def test_analysts_without_a_tenant_see_the_default_one(analyst: Ask, admin_url: str) -> None:
    database = Database(bootstrap(admin_url))
    for tenant, people in (("default", 4), ("bolt", 3)):
        with database.of(tenant).reading_gold() as connection:
            assert connection.exec_driver_sql("SELECT count(*), count(DISTINCT tenant_id) FROM gold.person").one() == (people, 1)
    database.close()
