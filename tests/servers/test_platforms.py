"""A laboratory's system and a platform for developers, each against a small server of ours."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from spine.core.errors import AuthFailed, SourceRejected
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
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
