"""The DAG of a way back: its steps in their order, what wakes it, and when it asks a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import AssetAny, CronDataIntervalTimetable

from spine.dagkit import push as dags
from spine.push import running
from spine.push.spec import Push

SAID: dict[str, Any] = {
    "name": "back", "label": "Back", "source": {"object": "gold_party_person"},
    "destination": {"connector": "warehouse", "kind": "postgresql", "object": "t", "mapping": {"email": "mail"}, "match_key": ["email"]},
}  # fmt: skip


def made(**changes: Any) -> Any:
    return dags.build_push_dag(Push.model_validate({**SAID, **changes}))


def test_steps_are_in_their_order_and_one_tenants_failure_does_not_stop_the_others() -> None:
    dag, order = made(), ["plan", "compare", "approve", "send", "confirm", "report"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for task in dag.tasks:
        assert task.trigger_rule.value == ("all_success" if task.task_id in ("plan", "compare") else "all_done")


def test_it_is_woken_by_its_schedule_or_by_its_table_and_never_if_it_is_not_enabled() -> None:
    assert isinstance(made(schedule="0 * * * *").timetable, CronDataIntervalTimetable)
    woken = made().schedule
    assert isinstance(woken, AssetAny)
    assert [asset.name for asset in woken.objects] == ["gold.person"]
    assert made(enabled=False).schedule is None
    both = made(
        source={"connector": "salesforce", "object": "contacts"}, direction="bidirectional",
        destination={"connector": "hubspot", "object": "contacts", "mapping": {"Email": "email"}, "match_key": ["Email"]},
    )  # fmt: skip
    assert [asset.name for asset in both.schedule.objects] == ["silver.salesforce_person", "silver.hubspot_person"]


class Ti:
    """A task's instance, as far as the question looks at it."""

    def xcom_pull(self, task_ids: str) -> Any:
        return [running.PushWork("back", tenant, "run").to_json() for tenant in ("acme", "bolt")]


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The question of a run whose tenants need a person's word for these reasons."""

    def make(reasons: dict[str, tuple[str, ...]]) -> Any:
        found = {name: running.Compared(running.PushWork("back", name, "run"), {}, why) for name, why in reasons.items()}
        monkeypatch.setattr(dags, "_services", lambda: None)
        monkeypatch.setattr(running, "compared", lambda work, services: found.get(work.tenant))
        return made().get_task("approve")

    return make


def test_nobody_is_asked_about_little(asking: Any) -> None:
    assert asking({"acme": (), "bolt": ()}).execute({"ti": Ti()}) == {"approved_by": ""}


def test_a_person_is_asked_about_much_with_the_reasons(asking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.HITLOperator.execute", lambda self, context: asked.append(self.body))
    asking({"bolt": ("9 changes are more than the 3 of `max_changes`",)}).execute({"ti": Ti()})
    assert "- bolt: 9 changes are more than the 3" in asked[0]


@pytest.mark.parametrize(("answer", "by"), [("Send them", "ada"), ("Send nothing", "")])
def test_the_answer_names_the_person_or_nobody(asking: Any, answer: str, by: str) -> None:
    event = {"chosen_options": [answer], "params_input": {}, "responded_at": _Now(), "responded_by_user": {"id": "1", "name": "ada"}}
    assert asking({}).execute_complete({}, event) == {"approved_by": by}


class _Now:
    def isoformat(self) -> str:
        return "2026-01-31T08:00:00"


def test_an_erp_both_ways_is_expressible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OAuth2 with its own addresses and scopes, both ways, every fifteen minutes, by the time of the last change."""
    from spine.push.check import sound_push
    from spine.sources.check import sound_source

    sources, syncs = tmp_path / "sources", tmp_path / "syncs"
    sources.mkdir()
    syncs.mkdir()
    orders = {
        "name": "orders",
        "path": "/orders",
        "records": "data",
        "key": ["id"],
        "cursor": {"field": "last_modified_at", "since": "since"},
    }
    write = {"orders": {"upsert": {"path": "/orders"}, "find": {"path": "/orders", "params": {"number": "{record.customer_number}"}}}}
    auth = {
        "type": "oauth2", "grant": "authorization_code", "authorize_path": "https://sap.example.com/oauth/authorize",
        "token_path": "https://sap.example.com/oauth/token", "scopes": ["read:orders", "write:orders"],
    }  # fmt: skip
    for name, label in (("sap_erp_connector", "SAP ERP Integration"), ("shop", "Shop")):
        said = {
            "source": name,
            "label": label,
            "domain": "finops",
            "auth": auth,
            "hosts": ["sap.example.com"],
            "streams": [orders],
            "write": write,
        }
        (sources / f"{name}.yaml").write_text(yaml.safe_dump(said))
    push = {
        "name": "order_sync", "label": "Orders", "source": {"connector": "sap_erp_connector", "object": "orders"},
        "destination": {"connector": "shop", "object": "orders", "match_key": ["customer_number"],
                        "mapping": {"customer_number": "customer_id", "order_value": "order_total"}},
        "direction": "bidirectional", "schedule": "*/15 * * * *",
    }  # fmt: skip
    (syncs / "order_sync.yaml").write_text(yaml.safe_dump(push))
    monkeypatch.setenv("SPINE_SOURCES", str(sources))
    monkeypatch.setenv("SPINE_SYNCS", str(syncs))
    assert sound_source("sap_erp_connector").write
    assert sound_push("order_sync").two_way
    assert dags.build_push_dags("push_order_sync")["push_order_sync"].timetable is not None
