"""The demo's report: what it measures, what it shows, and when it says that something is missing."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spine.control.bootstrap import ensure_analyst
from spine.gold.publish import publish
from spine.lake.gold import LINKS, SCHEMAS
from spine.pipeline.unite import unite
from spine.stack import report
from tests.conftest import GoldWorld

LABELS = st.dictionaries(st.integers(0, 12).map(str), st.sampled_from("abc"), max_size=12)


@given(LABELS, LABELS)
def test_pairs_are_counted_as_if_they_were_listed(links: dict[str, str], truth: dict[str, str]) -> None:
    both = sorted(links.keys() & truth.keys())
    found = {pair for pair in combinations(both, 2) if links[pair[0]] == links[pair[1]]}
    real = {pair for pair in combinations(both, 2) if truth[pair[0]] == truth[pair[1]]}
    score = report.pairwise(links, truth)
    assert score.precision == pytest.approx(len(found & real) / len(found) if found else 1.0)
    assert score.recall == pytest.approx(len(found & real) / len(real) if real else 1.0)
    assert score.true_pairs == len(real)


@pytest.fixture
def published(lake: str, gold: Callable[..., None], admin_url: str, control_url: str) -> str:
    """Gold of both entities in PostgreSQL, Bronze and Silver beside it; the URL of an analyst."""
    for entity in ("person", "organization"):
        gold(entity)
        publish(entity, "run", url=control_url)
    deals = GoldWorld("opportunity")
    link = {"tenant_id": "default", "entity": "organization", "source": "salesforce", "record_id": "a1", "entity_id": "org_1"}
    write_deltalake(f"{lake}/{LINKS}", pa.Table.from_pylist([{**link, "record_ref": "salesforce:s:a1"}], SCHEMAS[LINKS]), mode="append")
    deals.put("salesforce", [{"id": "1", "name": "Ten lamps", "account_ref": "a1"}, {"id": "2", "name": "Nobody's"}])
    unite("opportunity", "run")
    publish("opportunity", "run", url=control_url)
    rows = pa.table({"tenant_id": ["default", "acme"], "name": ["a", "b"]})
    for name in ("raw_crm_contacts", "crm_person"):
        write_deltalake(f"{lake}/{name}", rows, partition_by=["tenant_id"])
    reasons = [[{"rule": "r", "field": "email", "reason": "the e-mail is not an address"}]] * 2
    quarantined = pa.table({"tenant_id": ["default", "acme"], "status": ["open", "open"], "reasons": reasons})
    write_deltalake(f"{lake}/quarantine_crm_person", quarantined, partition_by=["tenant_id"])
    role = ensure_analyst(admin_url, "default")
    return admin_url.replace("postgres@", f"{role}@")


@pytest.mark.postgres
def test_the_report_shows_every_layer_of_one_tenant(published: str) -> None:
    found = report.collect(published, {"person": {}, "organization": {}})
    assert ("Bronze", "raw_crm_contacts", 1, 0) in found.rows
    assert found.reasons == {("quarantine_crm_person", "the e-mail is not an address"): 1}
    assert found.entities == {"person": (3, 6), "organization": (3, 6)}
    assert found.united == (2, 1)
    assert found.problems == []
    out = io.StringIO()
    report.show(found, Console(file=out, width=160, soft_wrap=True))
    for text in (
        "raw_crm_contacts",
        "the e-mail is not an address",
        "One golden person",
        "One golden organization",
        "joined from",
        "because",
    ):
        assert text in out.getvalue()


@pytest.mark.postgres
def test_an_empty_layer_is_a_problem(published: str, lake: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_LAKE", f"{lake}/elsewhere")
    assert report.collect(published, {"person": {}}).problems == ["Bronze is empty", "Silver is empty", "Gold is empty"]
