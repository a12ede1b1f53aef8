"""Every role against every object of the database: what each may is declared here, and whatever is not declared is an error.

Read from PostgreSQL's catalogues, so that a new table, view, function, schema, role or grant fails until somebody says who may what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from spine.control.bootstrap import bootstrap, ensure_analyst
from spine.core.entities import load_entity
from spine.gold.publish import publish
from spine.gold.schema import LOOKUP, PUBLICATIONS, shape_of

pytestmark = pytest.mark.postgres
ENTITIES = ("person", "organization")
SHAPES = [shape_of(load_entity(entity)) for entity in ENTITIES]
GOLD_TABLES = {table.name for shape in SHAPES for table in (*shape.tables, PUBLICATIONS, *LOOKUP)}
GOLD_VIEWS = {view.name for shape in SHAPES for view in shape.views}
ANALYSTS = ("analyst", "analyst_acme", "analyst_bolt")
ROLES = ("public", "spine_owner", "spine_publisher", "spine_app", "spine_jobs", "spine_airflow", *ANALYSTS)

ALL = "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER MAINTAIN"
WRITE = "SELECT INSERT UPDATE DELETE"
# Tables of schema `spine`: role -> rights; the owner has all.
CONTROL = {
    "alembic_version": {},
    "audit_heads": {"spine_app": "SELECT"},
    "audit_log": {"spine_app": "SELECT INSERT"},
    "breakers": {"spine_app": WRITE},
    "buckets": {"spine_app": WRITE},
    "connectors": {"spine_app": WRITE},
    "drift_events": {"spine_app": "SELECT INSERT DELETE"},
    "events": {"spine_app": WRITE, "spine_jobs": "INSERT"},
    "leases": {"spine_app": WRITE},
    "ledger": {"spine_app": "SELECT INSERT UPDATE", "spine_jobs": "SELECT INSERT UPDATE"},
    "oauth_tokens": {"spine_app": WRITE},
    "push_changes": {"spine_app": WRITE},
    "push_conflicts": {"spine_app": WRITE},
    "push_records": {"spine_app": WRITE},
    "push_runs": {"spine_app": WRITE},
    "stream_runs": {"spine_app": WRITE},
    "stream_states": {"spine_app": "SELECT INSERT DELETE"},
    "sync_runs": {"spine_app": WRITE},
    "tenant_keys": {"spine_app": "SELECT INSERT"},
    "token_locks": {"spine_app": "SELECT INSERT UPDATE"},
}
READ = dict.fromkeys(ANALYSTS, "SELECT")
RELATIONS: dict[str, tuple[str, dict[str, str]]] = {
    **{f"spine.{name}": ("spine_owner", rights) for name, rights in CONTROL.items()},
    "spine.drift_events_drift_id_seq": ("spine_owner", {}),
    "spine.events_event_id_seq": ("spine_owner", {}),
    **{f"gold.{name}": ("spine_publisher", READ) for name in GOLD_TABLES | GOLD_VIEWS},
    "gold.publication_state": ("spine_publisher", {}),
    "gold.tenant_access": ("spine_owner", {}),
}
FUNCTIONS = {
    "gold.why(double precision, jsonb)": ("spine_publisher", ANALYSTS),
    "gold.current_id(text)": ("spine_publisher", ANALYSTS),
    "gold.my_tenants()": ("spine_owner", (*ANALYSTS, "spine_publisher")),
    "spine.audit_digest(spine.audit_log)": ("spine_owner", ("spine_app",)),
    "spine.audit_seal()": ("spine_owner", ()),
    "spine.audit_refuse()": ("spine_owner", ()),
}
AS_THEIR_OWNER = {"gold.my_tenants()", "spine.audit_seal()"}  # SECURITY DEFINER
SCHEMAS = {
    "public": {role: "USAGE" for role in ROLES},
    "spine": {"spine_owner": "USAGE CREATE", "spine_app": "USAGE", "spine_jobs": "USAGE"},
    "gold": {"spine_owner": "USAGE CREATE", "spine_publisher": "USAGE CREATE", **dict.fromkeys(ANALYSTS, "USAGE")},
}
DATABASE = {
    "spine_app": "CONNECT TEMPORARY", "spine_jobs": "CONNECT", "spine_publisher": "TEMPORARY", **dict.fromkeys(ANALYSTS, "CONNECT"),
}  # fmt: skip
MEMBERS = {  # (role, member): inherits, may be taken up by SET ROLE
    ("analyst", "analyst_acme"): (True, False),
    ("analyst", "analyst_bolt"): (True, False),
    ("analyst", "spine_app"): (False, True),
    ("analyst_acme", "spine_app"): (False, True),
    ("analyst_bolt", "spine_app"): (False, True),
    ("spine_publisher", "spine_app"): (False, True),
    ("pg_use_reserved_connections", "spine_app"): (True, True),
    ("pg_use_reserved_connections", "spine_jobs"): (True, True),
    ("pg_use_reserved_connections", "spine_airflow"): (True, True),
}
LOGINS = {"spine_app", "spine_jobs", "spine_airflow", "analyst_acme", "analyst_bolt"}
_SCHEMA = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"


class Walk:
    """Asks the catalogues; `differences` are what they say and nobody declared, or the other way round."""

    def __init__(self, admin: psycopg.Connection) -> None:
        self.admin = admin
        self.differences: list[str] = []

    def ask(self, query: str) -> list[Any]:
        return self.admin.execute(query).fetchall()  # type: ignore[arg-type]

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.differences.append(f"{what}: is {found}, declared {wanted}")

    def rights(self, what: str, function: str, name: str, words: str, wanted: dict[str, str]) -> None:
        for role in ROLES:
            asked = ", ".join(f"{function}('{role}', '{name}', '{word}')" for word in words.split())
            (answers,) = self.ask(f"SELECT ARRAY[{asked}]")
            found = " ".join(word for word, may in zip(words.split(), answers[0], strict=True) if may)
            self.expect(f"{role} on {what}", set(found.split()), set(wanted.get(role, "").split()))

    def relations(self) -> None:
        found = self.ask(f"""
            SELECT n.nspname || '.' || c.relname, c.relkind, pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity,
                   c.reloptions, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL),
                   ARRAY(SELECT p.polroles::regrole[]::text || p.polcmd::text || p.polpermissive::text
                         FROM pg_policy p WHERE p.polrelid = c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'c', 't') AND {_SCHEMA}""")
        self.expect("relations", {row[0] for row in found}, set(RELATIONS))
        for name, kind, owner, row_security, forced, options, by_column, policies in found:
            declared_owner, rights = RELATIONS.get(name, ("nobody", {}))
            self.expect(f"owner of {name}", owner, declared_owner)
            self.expect(f"rights on columns of {name}", by_column, False)
            if kind == "S":
                self.rights(name, "has_sequence_privilege", name, "USAGE SELECT UPDATE", {owner: "USAGE SELECT UPDATE", **rights})
                continue
            self.rights(name, "has_table_privilege", name, ALL, {owner: ALL, **rights})
            if kind == "v":
                self.expect(f"whose rights {name} has", options, ["security_invoker=true"])
            else:
                self.walls_of(name, row_security, forced, policies)

    def walls_of(self, name: str, row_security: bool, forced: bool, policies: list[str]) -> None:
        if name in ("spine.alembic_version", "gold.publication_state", "gold.tenant_access"):
            wanted = (False, False, [])  # no tenant's rows, and nobody but the owner may read them
        elif name in ("spine.tenant_keys", "spine.oauth_tokens"):
            wanted = (True, True, ["{-}*true", "{spine_owner}*true"])  # an administrator rotates the keys of every tenant
        elif name.startswith("spine."):
            wanted = (True, True, ["{-}*true"])
        else:
            wanted = (True, False, ["{analyst}rtrue"])  # the publisher writes every tenant's
        self.expect(f"row-level security of {name}", (row_security, forced, policies), wanted)

    def functions(self) -> None:
        found = self.ask(f"""
            SELECT p.oid::regprocedure::text, replace(p.oid::regprocedure::text, ',', ', '), pg_get_userbyid(p.proowner), p.prosecdef,
                   p.proconfig FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_SCHEMA}""")
        self.expect("functions", {row[1] for row in found}, set(FUNCTIONS))
        for name, shown, owner, as_owner, config in found:
            declared_owner, roles = FUNCTIONS.get(shown, ("nobody", ()))
            self.expect(f"owner of {shown}", owner, declared_owner)
            self.expect(f"{shown} as its owner", as_owner, shown in AS_THEIR_OWNER)
            self.expect(f"search path of {shown}", "search_path=pg_catalog, pg_temp" in (config or ()), True)
            self.rights(shown, "has_function_privilege", name, "EXECUTE", dict.fromkeys((owner, *roles), "EXECUTE"))

    def schemas(self) -> None:
        found = {row[0] for row in self.ask(f"SELECT n.nspname FROM pg_namespace n WHERE {_SCHEMA}")}
        self.expect("schemas", found, set(SCHEMAS))
        for name in found:
            self.rights(f"schema {name}", "has_schema_privilege", name, "USAGE CREATE", SCHEMAS.get(name, {}))
        database = self.ask("SELECT current_database()")[0][0]
        self.rights("the database", "has_database_privilege", database, "CONNECT CREATE TEMPORARY", DATABASE)

    def roles(self) -> None:
        """Attributes and memberships, and that nobody else has a right to anything."""
        known = {role for role in ROLES if role != "public"}
        names = ", ".join(f"'{role}'" for role in known)
        found = self.ask(f"""
            SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
            FROM pg_roles WHERE rolname IN ({names}) OR rolname ~ '^spine_'""")
        self.expect("roles", {row[0] for row in found}, known)
        self.expect("logins", {row[0] for row in found if row[1]}, LOGINS)
        self.expect("roles with an attribute of an administrator", [row[0] for row in found if row[2]], [])
        members = self.ask(f"""
            SELECT roleid::regrole::text, member::regrole::text, inherit_option, set_option FROM pg_auth_members
            WHERE roleid::regrole::text IN ({names}) OR member::regrole::text IN ({names})""")
        self.expect("members", {(role, member): tuple(how) for role, member, *how in members}, MEMBERS)
        for built_in, allowed in ((True, _BUILT_IN), (False, {*known, "pg_database_owner"})):
            grantees = {role for role, inside in self.ask(_GRANTEES) if inside == built_in}
            self.expect(f"who has a right (built-in: {built_in})", grantees - {"postgres", "-"} - allowed, set())

    def odd_things(self) -> None:
        """Kinds of objects that this database has none of."""
        for table in ("pg_default_acl", "pg_event_trigger", "pg_foreign_server", "pg_largeobject_metadata", "pg_publication"):
            self.expect(table, self.ask(f"SELECT count(*) FROM {table}"), [(0,)])
        self.expect("extensions", self.ask("SELECT extname FROM pg_extension"), [("plpgsql",)])
        open_to_all = self.ask("""
            SELECT proname FROM pg_proc WHERE has_function_privilege('public', oid, 'EXECUTE') AND pronamespace = 'pg_catalog'::regnamespace
              AND proname ~ '(advisory|^lo_|^lo(read|write)$|^pg_(logical_emit|notify$|read|ls_|stat_file|stat_get_live))'""")
        self.expect("functions of PostgreSQL that are everybody's", open_to_all, [])

    def everything(self) -> list[str]:
        for part in (self.roles, self.schemas, self.relations, self.functions, self.odd_things):
            part()
        return self.differences


_BUILT_IN = {"pg_monitor", "pg_read_all_stats", "pg_read_all_settings", "pg_checkpoint", "pg_database_owner", "pg_signal_backend"}
_GRANTEES = """
SELECT DISTINCT a.grantee::regrole::text, coalesce(space IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace), false) FROM (
    SELECT relacl AS acl, relnamespace AS space FROM pg_class UNION ALL SELECT proacl, pronamespace FROM pg_proc
    UNION ALL SELECT attacl, relnamespace FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    UNION ALL SELECT typacl, typnamespace FROM pg_type UNION ALL SELECT nspacl, oid FROM pg_namespace
    UNION ALL SELECT lanacl, NULL FROM pg_language UNION ALL SELECT datacl, NULL FROM pg_database WHERE datname = current_database()
) AS every, aclexplode(every.acl) AS a
"""


@pytest.fixture(scope="module")
def world(admin_url: str) -> Iterator[psycopg.Connection]:
    """A deployment with two tenants' analysts, as its administrator."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        others = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres' AND rolname <> ALL(%s)"
        for (role,) in admin.execute(others, (list(ROLES),)).fetchall():
            admin.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")  # of tests before this one: their databases are gone
        bootstrap(admin_url)
        for tenant in ("acme", "bolt"):
            ensure_analyst(admin_url, tenant)
        yield admin


@pytest.fixture
def published(world: psycopg.Connection, admin_url: str, control_url: str, gold: Callable[..., None]) -> psycopg.Connection:
    for entity in ENTITIES:
        if world.execute(f"SELECT to_regclass('gold.{entity}')").fetchone() == (None,):  # once for all tests
            gold(entity, {"acme": 2, "bolt": 3})
            publish(entity, "run-1", url=control_url)
    return world


def test_every_role_may_what_is_declared_and_nothing_else(published: psycopg.Connection) -> None:
    assert Walk(published).everything() == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE spine.surprise (tenant_id text)",
        "CREATE VIEW gold.surprise AS SELECT * FROM gold.party_person",
        "CREATE SCHEMA surprise",
        "CREATE FUNCTION gold.surprise() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE gold.surprise",
        "GRANT SELECT ON spine.leases TO analyst_acme",
        "GRANT SELECT (holder) ON spine.leases TO analyst_acme",
        "GRANT UPDATE ON spine.audit_heads TO spine_app",
        "GRANT SELECT ON spine.tenant_keys TO spine_jobs",
        "GRANT SELECT ON gold.party_person TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION spine.audit_digest(spine.audit_log) TO PUBLIC",
        "GRANT analyst TO analyst_bolt WITH INHERIT TRUE, SET TRUE",
        "GRANT spine_publisher TO analyst_acme",
        "GRANT pg_read_all_data TO spine_jobs",
        "GRANT SELECT ON gold.party_person TO pg_monitor",
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO analyst_acme",
        "CREATE ROLE spine_surprise",
        "ALTER ROLE spine_app CREATEROLE",
        "ALTER ROLE analyst NOINHERIT LOGIN",
        "ALTER TABLE spine.leases NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE gold.identity_links DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY surprise ON gold.identity_links TO analyst USING (true)",
        "ALTER VIEW gold.person SET (security_invoker = false)",
        "ALTER TABLE gold.tenant_access OWNER TO spine_app",
        "ALTER FUNCTION gold.why(double precision, jsonb) SECURITY DEFINER",
        "ALTER FUNCTION gold.my_tenants() RESET search_path",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "SELECT lo_create(0)",
    ],
)
def test_whatever_is_not_declared_is_found(published: psycopg.Connection, change: str) -> None:
    with published.transaction(force_rollback=True):
        published.execute(change)  # type: ignore[arg-type]
        assert Walk(published).everything() != []


@pytest.mark.parametrize("relation", sorted(GOLD_TABLES | GOLD_VIEWS))
def test_two_tenants_analysts_see_their_own_rows_alone(published: psycopg.Connection, admin_url: str, relation: str) -> None:
    for tenant in ("acme", "bolt"):
        with psycopg.connect(admin_url, user=f"analyst_{tenant}") as session:
            seen = {row[0] for row in session.execute(f"SELECT tenant_id FROM gold.{relation}")}  # type: ignore[arg-type]
        assert seen <= {tenant}
        if not relation.startswith("lookup_"):
            assert seen == {tenant}, "there is something to see"


@pytest.mark.parametrize(("role", "tables"), [("spine_app", set(CONTROL) - {"alembic_version"}), ("spine_jobs", {"ledger"})])
def test_a_service_reads_the_tables_that_it_needs_and_of_no_tenant_unless_it_names_one(
    published: psycopg.Connection, admin_url: str, role: str, tables: set[str]
) -> None:
    for name in CONTROL:
        with psycopg.connect(admin_url, user=role) as session:
            try:
                found = session.execute(f"SELECT count(*) FROM spine.{name}").fetchone()  # type: ignore[arg-type]
            except psycopg.errors.InsufficientPrivilege:
                found = None
        assert found == ((0,) if name in tables else None), name
