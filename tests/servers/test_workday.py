"""Workday against a small vendor of our own, and its people matched with those of a CRM, end to end."""

from __future__ import annotations

import base64
from typing import Any

import polars as pl
import pytest

from spine.core.errors import AuthFailed
from spine.lake.gold import LINKS
from spine.lake.paths import table_uri
from spine.pipeline.normalize import normalize
from spine.pipeline.resolve import resolve
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
from tests.servers.test_own_vendors import served  # noqa: F401  # a fixture

PROVES = "a server of ours"

REPORTS = "/ccx/service/customreport2/acme/ISU_spine"
PEOPLE = "/ccx/api/v1/acme/workers"
ISU: dict[str, Any] = {"login": "ISU_spine", "password": "x", "extra": {"tenant_name": "acme"}}
TABLE = b'Organization_ID,Organization_Name,Organization_Type\r\nC1,"Acme, Ltd",Company\r\nS1,Sales,Supervisory\r\n'
WORKER = {"Employee_ID": "1", "First_Name": "Ann", "Last_Name": "Lee", "Work_Email": "ann@acme.example", "Hire_Date": "2020-01-31-08:00"}


class Workday:
    """Reports as JSON and CSV for a user of the tenant, and people of the REST API a hundred a page, for a token."""

    BASIC = "Basic " + base64.b64encode(b"ISU_spine@acme:x").decode()

    def __init__(self, workers: list[dict[str, Any]], rest: int = 0) -> None:
        self.workers, self.rest = workers, rest

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/ccx/oauth2/acme/token":
            return (
                {"access_token": "t1", "token_type": "Bearer"}
                if b"refresh_token=r1" in seen.body
                else Answer(400, {"error": "invalid_grant"})
            )
        signed = seen.headers.get("authorization")
        if signed != "Bearer t1" and (signed != self.BASIC or seen.path.startswith("/ccx/api")):
            return Answer(401, {"error": "invalid username or password"})
        if seen.path == f"{REPORTS}/Spine_Workers":
            return {"Report_Entry": self.workers} if self.workers else {}
        if seen.path == f"{REPORTS}/Spine_Organizations":
            return Answer(body=TABLE, headers={"Content-Type": "text/csv"})
        start, size = int(seen.query.get("offset", 0)), min(int(seen.query["limit"]), 100)
        people = [{"id": f"w{number}", "descriptor": f"Person {number}"} for number in range(self.rest)]
        return {"total": self.rest, "data": people[start : start + size]}


def test_reports_are_read_whole_and_tell_who_is_gone(reading, served) -> None:  # noqa: F811
    vendor = Workday([{**WORKER, "Employee_ID": str(number)} for number in range(5)])
    hris = reading("workday", served(vendor), **ISU)
    first = hris.sync("workers", "organizations")
    assert (first["workers"]["rows"], first["organizations"]["rows"]) == (5, 2)
    assert hris.records("organizations")[0]["Organization_Name"] == "Acme, Ltd"
    del vendor.workers[2]
    hris.sync("workers")
    assert [record["_key"] for record in hris.records("workers", run=2) if record["_op"] == "delete"] == ["2"]


def test_the_rest_api_takes_tokens_only(reading, served) -> None:  # noqa: F811
    url = served(Workday([], rest=230))
    with pytest.raises(AuthFailed):
        reading("workday", url, **ISU).sync("rest_workers")
    extra = {"tenant_name": "acme", "auth": "oauth", "refresh_token": "r1"}
    found = reading("workday", url, login="client", password="x", extra=extra).sync("rest_workers")["rest_workers"]
    assert (found["rows"], found["pages"]) == (230, 3)


def test_a_person_is_matched_between_salesforce_and_workday(reading, served, spark) -> None:  # noqa: F811
    """Contacts of a CRM who are workers too, written otherwise there, and workers whom the CRM does not know: Bronze to Gold."""
    with SandboxServer({"default": 80}) as crm:
        account = credentials("default")
        grant = {"refresh_token": account.refresh_token}
        sales = reading("salesforce", crm.url, tenant="north", login=account.client_id, password=account.client_secret, extra=grant)
        assert sales.sync("contacts")["contacts"]["rows"] > 60
    known = [record for record in sales.records("contacts") if record["Email"] and record["FirstName"] and record["_op"] == "upsert"]
    mails = [record["Email"] for record in known]
    shared = [record for record in known if mails.count(record["Email"]) == 1][:15]
    workers = [as_worker(record) for record in shared]
    strangers = [
        {**WORKER, "Employee_ID": f"n{number}", "Last_Name": f"Quux{number}", "Work_Email": f"q{number}@new.example"} for number in range(5)
    ]
    hris = reading("workday", served(Workday(workers + strangers)), tenant="north", **ISU)
    hris.sync("workers")
    for source in ("salesforce", "workday"):
        normalize(spark, source, "run1")
    resolve(spark, "person", "run1")

    links = {(row["source"], row["record_id"]): row["entity_id"] for row in pl.read_delta(table_uri(LINKS)).to_dicts()}
    together = [record["_key"] for record in shared if links["salesforce", record["_key"]] == links["workday", record["_key"]]]
    assert len(together) >= 14, f"{len(together)} of 15"
    of_crm = {entity for (source, _), entity in links.items() if source == "salesforce"}
    assert of_crm.isdisjoint({links["workday", f"n{number}"] for number in range(5)})


def as_worker(contact: dict[str, Any]) -> dict[str, Any]:
    """A contact as an HRIS has that person: other case, a formal name, the postal address in its own words."""
    return {
        "Employee_ID": contact["_key"], "Legal_First_Name": contact["FirstName"].upper(), "Legal_Last_Name": contact["LastName"].upper(),
        "Work_Email": contact["Email"].title(), "Work_Phone": contact["Phone"], "Date_of_Birth": contact["Birthdate"],
        "City": contact["MailingCity"], "Postal_Code": contact["MailingPostalCode"], "Country": contact["MailingCountry"],
    }  # fmt: skip
