"""A laboratory's system and a platform for developers, each against a small server of ours and, where they are databases, PostgreSQL."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core.errors import AuthFailed, SourceRejected
from spine.core.names import connection_id
from spine.pipeline.services import Services
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
from tests.relay import Relay
from tests.servers.conftest import Reading
from tests.servers.test_own_vendors import served  # noqa: F401  # a fixture

PROVES = "a server of ours"

LAB: dict[str, Any] = {"login": "lab", "password": "x"}


class Senaite:
    """Samples in batches with the address of the next one; a question of a range gives those that were changed within it."""

    BASIC = "Basic " + base64.b64encode(b"lab:x").decode()

    def __init__(self) -> None:
        self.samples = {f"u{number}": self.sample(number, "2026-01-31T08:15:00+01:00") for number in range(5)}
        self.ranges: list[str | None] = []

    @staticmethod
    def sample(number: int, at: str, state: str = "sample_received") -> dict[str, Any]:
        return {"uid": f"u{number}", "id": f"W-{number}", "getSampleTypeTitle": "Water", "review_state": state, "modified": at}

    def __call__(self, seen: Seen) -> Any:
        if seen.headers.get("authorization") != self.BASIC:
            return Answer(401, {"success": False, "message": "Unauthorized"})
        if seen.path != "/senaite/@@API/senaite/v1/AnalysisRequest":
            return {"count": 0, "items": [], "next": None}
        start, size, within = int(seen.query.get("b_start", 0)), int(seen.query["limit"]), seen.query.get("recent_modified")
        self.ranges.append(within)
        found = [one for one in self.samples.values() if not within or one["modified"] >= "2026-02"]
        link = f"http://{seen.headers['host']}{seen.path}?complete=yes&limit={size}&b_start={start + size}"
        link += f"&recent_modified={within}" if within else ""
        more = link if start + size < len(found) else None
        return {"count": len(found), "pagesize": size, "items": found[start : start + size], "next": more, "previous": None}


def two(streams: dict[str, dict[str, Any]], _: Any) -> None:
    """Two records a page."""
    streams["samples"]["paging"]["size"] = 2


def test_samples_are_read_batch_by_batch_and_then_what_was_changed_lately(reading, served) -> None:  # noqa: F811
    vendor = Senaite()
    lims = reading("lims", served(vendor), two, **LAB)
    first = lims.sync("samples", "results")
    assert (first["samples"]["rows"], first["samples"]["pages"], first["results"]["rows"]) == (5, 3, 0)
    assert {record["kind"] for record in lims.records("samples")} == {"Water"}
    vendor.samples["u3"] = vendor.sample(3, "2026-02-01T08:15:00+01:00", "published")
    lims.sync("samples")
    assert lims.keys("samples", run=2) == ["u3"]
    assert vendor.ranges == [None, None, None, "this-month"]


def test_a_wrong_password_of_a_laboratory_is_refused(reading, served) -> None:  # noqa: F811
    with pytest.raises(AuthFailed):
        reading("lims", served(Senaite()), login="lab", password="y").sync("samples")


class Supabase:
    """Two projects, of which one is paused, in one organisation."""

    def __init__(self) -> None:
        self.functions = {"p1": [{"id": "f1", "slug": "hello", "status": "ACTIVE", "created_at": 1, "updated_at": 2}]}

    def __call__(self, seen: Seen) -> Any:
        if seen.headers.get("authorization") != "Bearer sbp_x":
            return Answer(401, {"message": "Unauthorized"})
        lists: dict[str, list[dict[str, Any]]] = {
            "/v1/organizations": [{"id": "o1", "name": "Acme"}],
            "/v1/organizations/o1/members": [{"user_id": "a", "user_name": "Ann Lee", "email": "ann@acme.example"}],
            "/v1/projects": [{"id": "p1", "organization_id": "o1"}, {"id": "p2", "organization_id": "o1"}],
        }
        if seen.path.startswith("/v1/projects/"):
            found = self.functions.get(seen.path.split("/")[3])
            return Answer(404, {"message": "Project is paused"}) if found is None else found
        return lists.get(seen.path) or Answer(404, {"message": "Not found"})


def test_projects_and_what_is_in_them(reading, served) -> None:  # noqa: F811
    cloud = reading("supabase", f"{served(Supabase())}/v1", password="sbp_x")  # pragma: allowlist secret
    found = cloud.sync("organizations", "members", "projects", "functions")
    assert {name: result["rows"] for name, result in found.items()} == {"organizations": 1, "members": 1, "projects": 2, "functions": 1}
    assert cloud.keys("functions") == ["p1|f1"]
    assert found["functions"]["skips"] == 1, "a paused project is told and stops nothing"
    with pytest.raises((AuthFailed, SourceRejected)):
        reading("supabase", f"{served(Supabase())}/v1", password="y").sync("projects")


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

        def make(source: str) -> Reading:
            tenant = f"t{uuid4().hex[:10]}"
            info = ConnectionInfo(connection_id(source, tenant), "spine", "127.0.0.1", relay.port, parts.path.strip("/"), "postgres", "x")
            return Reading(source, Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__), lake, tenant, [])

        yield make, made
    relay.close()


def test_a_laboratorys_database_is_read_and_then_its_changes(stored) -> None:
    make, made = stored
    lims = make("lims_database")
    found = lims.sync("samples", "results", "quality_controls")
    assert {name: result["rows"] for name, result in found.items()} == {"samples": 30, "results": 30, "quality_controls": 3}
    made.execute("UPDATE samples SET status = 'published', updated_at = now() WHERE id = 7")
    lims.sync("samples")
    assert [record["status"] for record in lims.records("samples", run=2)] == ["published"]


def test_users_of_a_project_come_without_what_they_log_in_with(stored) -> None:
    make, made = stored
    project = make("supabase_database")
    assert project.sync("users")["users"]["rows"] == 20
    assert all("encrypted_password" not in record for record in project.records("users"))
    made.execute("UPDATE auth.users SET deleted_at = now(), updated_at = now() WHERE email = 'ann7@example.com'")
    project.sync("users")
    assert [record["_op"] for record in project.records("users", run=2)] == ["delete"]
