"""A laboratory's database and that of a Supabase project, as their tables are, against PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.names import connection_id
from spine.pipeline.services import Services
from tests.relay import Relay
from tests.servers.conftest import Reading

PROVES = "PostgreSQL itself"

TABLES = """
    DROP SCHEMA IF EXISTS auth, storage CASCADE; DROP TABLE IF EXISTS samples, results, quality_controls;
    CREATE SCHEMA auth; CREATE SCHEMA storage;
    CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text, phone text, role text, raw_user_meta_data jsonb,
        raw_app_meta_data jsonb, email_confirmed_at timestamptz, last_sign_in_at timestamptz, created_at timestamptz DEFAULT now(),
        updated_at timestamptz DEFAULT now(), deleted_at timestamptz, is_anonymous bool DEFAULT false, encrypted_password text);
    INSERT INTO auth.users (email, encrypted_password, raw_user_meta_data)
        SELECT 'ann' || n || '@example.com', 'never-read', '{"full_name": "Ann Lee"}' FROM generate_series(1, 20) n;
    CREATE TABLE storage.objects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), bucket_id text, name text, owner_id text, metadata jsonb,
        created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
    CREATE TABLE samples (id int PRIMARY KEY, sample_number text, sample_type text, status text, updated_at timestamptz DEFAULT now());
    INSERT INTO samples SELECT n, 'W-' || n, 'water', 'received' FROM generate_series(1, 30) n;
    CREATE TABLE results (id int PRIMARY KEY, sample_id int, analyte text, result numeric, unit text, updated_at timestamptz DEFAULT now());
    INSERT INTO results SELECT n, n, 'Ca', n / 10.0, 'mg/l' FROM generate_series(1, 30) n;
    CREATE TABLE quality_controls (LIKE results); ALTER TABLE quality_controls ADD PRIMARY KEY (id);
    INSERT INTO quality_controls SELECT n, n, 'Ca', 1.5, 'mg/l' FROM generate_series(1, 3) n;
"""


@pytest.fixture
def stored(database, lake, home, admin_url):
    """A reading of a source from a real database that has the tables of both."""
    parts = urlsplit(admin_url)
    folder = Path(parse_qs(parts.query)["host"][0])
    relay = Relay(str(next(path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock")))
    with psycopg.connect(admin_url, autocommit=True) as made:
        made.execute(TABLES)

        def reading(source: str) -> Reading:
            tenant = f"t{uuid4().hex[:10]}"
            info = ConnectionInfo(connection_id(source, tenant), "spine", "127.0.0.1", relay.port, parts.path.strip("/"), "postgres", "x")
            return Reading(source, Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__), lake, tenant, [])

        yield reading, made
    relay.close()


def test_a_laboratorys_database_is_read_and_then_its_changes(stored) -> None:
    reading, made = stored
    lims = reading("lims_database")
    found = lims.sync("samples", "results", "quality_controls")
    assert {name: result["rows"] for name, result in found.items()} == {"samples": 30, "results": 30, "quality_controls": 3}
    made.execute("UPDATE samples SET status = 'published', updated_at = now() WHERE id = 7")
    lims.sync("samples")
    assert [record["status"] for record in lims.records("samples", run=2)] == ["published"]


def test_users_of_a_project_come_without_what_they_log_in_with(stored) -> None:
    reading, made = stored
    project = reading("supabase_database")
    assert project.sync("users")["users"]["rows"] == 20
    assert all("encrypted_password" not in record for record in project.records("users"))
    made.execute("UPDATE auth.users SET deleted_at = now(), updated_at = now() WHERE email = 'ann7@example.com'")
    project.sync("users")
    assert [record["_op"] for record in project.records("users", run=2)] == ["delete"]
