"""The pages inside Airflow: nothing without a login, nothing of another tenant, no path out of the folder."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="spine-airflow-"))

import orjson
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from spine.control.variables import MemoryVariables
from spine.ui import access
from spine.ui.access import Viewer, require_viewer, tenants_rule
from spine.ui.app import create_app

Client = Callable[[str], TestClient]
RUN = "scheduled__2026-01-01T00:00:00%2B00:00"


@pytest.fixture
def as_member_of(lake: str, home: Path) -> Client:
    """A client of a user who sees one tenant; the lake and the validations hold two."""
    folder = home / "validations" / "scheduled__2026-01-01T00:00:00+00:00"
    folder.mkdir(parents=True)
    for tenant, passed in (("acme", True), ("globex", False), (None, False)):
        stem = folder / f"crm_person__{tenant}"
        stem.with_suffix(".html").write_text(f"<p>page of {tenant}</p>")
        facts = {"tenant_id": tenant, "passed": passed, "source": "crm", "entity": "person"}
        stem.with_suffix(".json").write_bytes(orjson.dumps(facts))
    rows = pa.table({"tenant_id": ["acme", "globex", "globex"], "name": ["<b>a</b>", "b", "c"]})
    write_deltalake(f"{lake}/crm_person", rows, partition_by=["tenant_id"])

    def client(tenant: str) -> TestClient:
        app = create_app()
        app.dependency_overrides[require_viewer] = lambda: Viewer("ana", lambda asked: asked == tenant)
        return TestClient(app)

    return client


def test_a_member_sees_the_pages_of_the_own_tenant_only(as_member_of: Client) -> None:
    listed = as_member_of("acme").get(f"/validations/{RUN}").text
    assert "acme" in listed
    assert "passed" in listed
    assert "globex" not in listed


def test_a_run_shows_the_pages_of_its_own_dag(as_member_of: Client) -> None:
    client = as_member_of("acme")
    assert "acme" in client.get(f"/validations/{RUN}?dag=sync_crm").text
    assert "No table was validated" in client.get(f"/validations/{RUN}?dag=sync_erp").text


def test_a_page_of_another_tenant_does_not_exist(as_member_of: Client) -> None:
    client = as_member_of("acme")
    assert client.get(f"/validations/{RUN}/crm_person__acme").text == "<p>page of acme</p>"
    assert client.get(f"/validations/{RUN}/crm_person__globex").status_code == 404
    assert client.get(f"/validations/{RUN}/crm_person__None").status_code == 404, "a page over all tenants is the administrator's"


@pytest.mark.parametrize("path", ["..%2F..%2Facme", "%2e%2e", "x/..%2Fcrm_person__acme", "x/crm_person__acme"])
def test_no_url_leads_out_of_the_folder(as_member_of: Client, path: str) -> None:
    answer = as_member_of("acme").get(f"/validations/{path}")
    assert answer.status_code == 404 or "No table was validated" in answer.text


def test_a_table_shows_sizes_of_the_own_tenant_and_no_row(as_member_of: Client) -> None:
    page = as_member_of("globex").get("/tables?name=crm_person&name=unknown").text
    assert "globex" in page
    assert "acme" not in page
    assert "&lt;b&gt;" not in page


def test_without_a_name_all_tables_are_listed(as_member_of: Client) -> None:
    assert "crm_person" in as_member_of("acme").get("/tables").text


def test_pages_load_nothing_from_elsewhere(as_member_of: Client) -> None:
    answer = as_member_of("acme").get("/tables")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http" not in answer.text


def test_without_a_login_there_is_no_page(lake: str, home: Path) -> None:
    """Of every page that there is, or will be: a page whose author forgot to ask for a viewer is closed too."""
    app = create_app()
    client = TestClient(app)
    paths = [route.path for route in app.routes if isinstance(route, APIRoute)]
    assert {"/tables", "/validations/{run_id}"} <= set(paths)
    for path in paths:
        assert client.get(re.sub(r"\{[^}]*\}", "x", path)).status_code == 401


class Manager:
    """Airflow's permissions: everybody may read DAGs, and whoever operates may edit Connections."""

    def is_authorized_dag(self, **_: object) -> bool:
        return True

    def is_authorized_connection(self, **_: object) -> bool:
        return True


@pytest.mark.parametrize(("name", "everything"), [("ada", True), ("op", False), ("", False)])
def test_only_the_deployment_says_who_sees_all_tenants(name: str, everything: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_ADMINS", "ada, bea")
    monkeypatch.setattr(access, "get_auth_manager", Manager)
    monkeypatch.setattr(access, "AirflowVariables", MemoryVariables)
    viewer = require_viewer(SimpleNamespace(get_name=lambda: name))
    assert viewer.admin is everything
    assert viewer.sees("acme") is everything


@pytest.mark.parametrize(
    ("listed", "seen"),
    [
        (None, {"default"}),
        ('{"acme": ["ana"]}', {"acme", "default"}),
        ('{"acme": ["bob"], "default": ["bob"]}', set()),
        ("nonsense", set()),
        ("[1]", set()),
        ('{"acme": "anabel", "globex": ["ana"]}', {"globex", "default"}),  # a text of which the name is a part
        ('{"acme": {"ana": 1}, "globex": null, "default": ["ana"]}', {"default"}),
        ('{"acme": ["ana", 1]}', {"default"}),
        ('{"default": "ana"}', set()),
    ],
)
def test_a_variable_says_who_belongs_to_a_tenant(listed: str | None, seen: set[str]) -> None:
    rule = tenants_rule("ana", listed)
    assert {tenant for tenant in ("acme", "default", "globex") if rule(tenant)} == seen
