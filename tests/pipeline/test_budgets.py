"""One budget per vendor account: who shares it, what others see of it, and a day's quota that a run meets and goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import RetryAction
from sqlalchemy import text

from spine.control.airflow_state import ConnectionInfo
from spine.control.database import Database
from spine.core.errors import RateLimited
from spine.dagkit.policies import default_args
from spine.pipeline import closing, extract
from spine.pipeline.budgets import account_of, budgets_of
from spine.pipeline.work import Sync
from spine.sources.spec import Source, load_source

pytestmark = pytest.mark.postgres
URL = "https://api.vendor.example/v1"


def declared(tier: str = "standard", **words: object) -> Source:
    source = load_source("hubspot")
    return source.model_copy(update={"tier": tier, "rate_limit": type(source.rate_limit)(**words)})


def account(source: Source, url: str = URL, **facts: object) -> str:
    return account_of(source, ConnectionInfo("c", **{"login": "app", "password": "key", **facts}), url)  # type: ignore[arg-type]


class TestWhoSharesABudget:
    def test_the_same_credentials_whoever_has_them(self) -> None:
        assert account(declared()) == account(declared("critical"), extra={"scope": "x"})
        assert account(declared()) != account(declared(), password="other")
        assert account(declared()) != account(declared(), extra={"refresh_token": "of another account"})
        assert account(declared()) != account(declared(), url="https://other.vendor.example")
        assert account(declared()) == account(declared(), url="https://API.vendor.example:443/other/path")

    def test_an_app_or_a_whole_host_where_the_limit_is_theirs(self) -> None:
        assert account(declared(shared="client")) == account(declared(shared="client"), password="x", extra={"refresh_token": "r"})
        assert account(declared(shared="client")) != account(declared(shared="client"), login="other")
        assert account(declared(shared="host")) == account(declared(shared="host"), login="other", password="x")

    def test_several_credentials_of_one_account_by_its_name(self) -> None:
        assert account(declared(), extra={"rate_account": "acme"}) == account(declared(), password="x", extra={"rate_account": "acme"})
        assert account(declared(), extra={"rate_account": "acme"}) != account(declared(), extra={"rate_account": "bolt"})

    def test_the_name_tells_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from cryptography.fernet import Fernet

        names = set()
        for _ in range(2):
            monkeypatch.setenv("SPINE_FERNET_KEY", Fernet.generate_key().decode())
            names.add(account(declared()))
        assert len(names) == 2  # who lacks the key cannot try names and passwords
        assert not any(word in name for name in names for word in ("app", "key", "vendor"))


def test_tenants_that_share_an_account_share_its_calls_and_see_nothing_of_each_other(database: Database) -> None:
    source = declared(requests=1, per="1h", burst=3, quotas=[{"requests": 100, "per": "1d"}])
    info = ConnectionInfo("c", login="app", password="shared between two")
    budgets = [budgets_of(source, info, URL, database)[0] for _ in range(2)]
    waits = [budgets[number % 2].take(max_wait=99_999) for number in range(5)]
    assert max(waits[:3]) < 2  # a second's refill is held back for what workers have in hand
    assert waits[4] > waits[3] > 3500
    for tenant in ("acme", "bolt"):
        with database.of(tenant).begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM spine.buckets")).scalar() == 0
    with database.of(account_of(source, info, URL)).begin() as connection:
        rows = connection.execute(text("SELECT bucket FROM spine.buckets ORDER BY 1")).scalars().all()
    assert rows == ["calls", "quota 86400 s"]


def test_a_share_is_kept_at_once_and_in_the_long_run(database: Database) -> None:
    source = declared(requests=100, per="100s", burst=100, share=0.3, quotas=[{"requests": 50, "share": 0.3}])
    budget = budgets_of(source, ConnectionInfo("c", password="a share"), URL, database)[0]
    assert [budget.take() for _ in range(15)] == [0.0] * 15
    with pytest.raises(RateLimited, match="quota of 15 calls"):
        budget.take()


def test_a_leaky_bucket_has_no_burst(database: Database) -> None:
    source = declared(requests=10, per="1s", burst=100, strategy="leaky_bucket")
    budget = budgets_of(source, ConnectionInfo("c", password="a leak"), URL, database)[0]
    waits = [budget.take() for _ in range(4)]
    assert waits[0] == 0
    assert waits[3] == pytest.approx(0.3, abs=0.1)


def test_a_critical_source_of_the_account_runs_first(database: Database) -> None:
    info, words = ConnectionInfo("c", password="one for all"), {"requests": 1, "per": "1h", "burst": 10, "reserve": 0.3}
    standard, critical = (budgets_of(declared(tier, **words), info, URL, database)[0] for tier in ("standard", "critical"))
    waits = [standard.take(max_wait=99_999) for _ in range(8)]
    assert max(waits[:7]) < 2  # a second's refill is held back for what workers have in hand
    assert waits[7] > 3000
    assert critical.take() == 0


def test_a_run_that_meets_a_quota_keeps_its_pages_and_the_next_one_goes_on_from_them(make_spine, small_pages: Path) -> None:
    spine = make_spine(scale=1500)
    path = small_pages / "hubspot.yaml"
    whole = path.read_text()
    kept = [line for line in whole.splitlines() if not line.startswith("rate_limit:")]
    path.write_text("\n".join(kept) + "\nrate_limit: {requests: 1000, per: 1s, burst: 100, quotas: [{requests: 4, per: 1d}]}\n")
    (work,) = extract.plan(Sync("hubspot", "r1", spine.tenants, ["contacts"], "full"), spine.services)
    with pytest.raises(RateLimited, match="quota") as caught:
        extract.extract(work, spine.services)
    first = spine.bronze("hubspot", "contacts")
    assert len(first) == 400
    decision = default_args("critical")["retry_policy"].evaluate(caught.value, 1, 5)
    far = (caught.value.retry_after or 0) > 15 * 60  # by the time of the day
    assert decision.action is (RetryAction.FAIL if far else RetryAction.RETRY)
    closing.finish("hubspot", "r1", spine.tenants, spine.services)
    path.write_text("\n".join(kept) + "\nrate_limit: {requests: 1000, per: 1s, burst: 100, quotas: [{requests: 4000, per: 1d}]}\n")
    asked = len(spine.server.sandbox.calls)
    (work,) = extract.plan(Sync("hubspot", "r2", spine.tenants, ["contacts"], "full"), spine.services)
    result = extract.extract(work, spine.services)
    everything = spine.bronze("hubspot", "contacts")
    assert first == [row for row in everything if row in set(first)]
    assert len(everything) == len({row[0] for row in everything})
    assert result.counts.rows == len(everything)
    assert [call.query.get("after") for call in list(spine.server.sandbox.calls)[asked:]][0] is not None  # noqa: RUF015
