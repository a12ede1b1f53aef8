"""Names are made in one place and cannot collide between tenants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core import names
from spine.core.errors import ConfigError

TENANTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


def test_connection_ids_follow_the_pattern() -> None:
    assert names.connection_id("ga4") == "ipai_connector_ga4"
    assert names.connection_id("people_files", "north-wind") == "ipai_connector_people_files__north_wind"


@given(TENANTS, TENANTS)
@pytest.mark.slow
def test_two_tenants_never_share_a_connection(one: str, other: str) -> None:
    assert (names.connection_id("crm", one) == names.connection_id("crm", other)) == (one == other)


def test_tables_follow_the_layers() -> None:
    assert names.bronze_table("ga4", "events") == "raw_ga4_events"
    assert names.silver_table("ga4", "sessions") == "ga4_sessions"
    assert names.quarantine_table("ga4", "sessions") == "quarantine_ga4_sessions"
    assert names.gold_table("marketing", "campaigns") == "gold_marketing_campaigns"


def test_jobs_and_cursors_are_named_by_source_stream_and_mode() -> None:
    assert names.job_name("github", "commits", "full") == "sync_github_commits_full"
    assert names.schema_variable("ipai_connector_github", "commits") == "spine.schema.ipai_connector_github.commits"
    assert names.cursor_variable("ipai_connector_github", "commits") == "spine.cursor.ipai_connector_github.commits"


@pytest.mark.parametrize("bad", ["", "Sales", "a__b", "a-b", "../x", "a b", "a'; --"])
def test_a_source_is_a_plain_word(bad: str) -> None:
    with pytest.raises(ConfigError, match="lower-case word"):
        names.connection_id(bad)


@pytest.mark.parametrize("bad", ["", "Acme", "a_b", "-a", "a" * 41, "a/b"])
def test_a_tenant_is_a_slug(bad: str) -> None:
    with pytest.raises(ConfigError, match="slug"):
        names.connection_id("crm", bad)


def test_assets_and_references_have_the_names_that_schedules_and_lakes_hold() -> None:
    assert names.silver_asset("salesforce", "person") == "silver.salesforce_person"
    assert names.gold_asset("person") == "gold.person"
    assert names.record_ref("salesforce", "contacts", "003") == "salesforce:contacts:003"
