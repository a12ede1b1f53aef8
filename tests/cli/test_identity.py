"""`spine why`, `spine how` and `spine lookup`: what people see in a hundred columns, and what scripts get."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from spine.cli import evidence
from spine.cli.commands import app
from spine.control.bootstrap import bootstrap
from spine.gold.publish import publish

pytestmark = pytest.mark.postgres
JANE, TWIN, OTHER = "salesforce:contacts:c000", "hubspot:contacts:h000", "salesforce:contacts:c001"


@pytest.fixture
def spine() -> Callable[..., Result]:
    """Run a command in this process."""
    return lambda *words: CliRunner().invoke(app, list(words), prog_name="spine")


@pytest.fixture
def ids(gold_world: Any) -> dict[str, str]:
    """Sixty people, one of them in two systems; entity id by record id."""
    people = gold_world.crowd()
    gold_world.put("salesforce", people)
    gold_world.put("hubspot", [{**people[0], "id": "h000", "phone": None}])
    found: dict[str, str] = gold_world.resolve()
    return found


@pytest.fixture
def published(admin_url: str, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The same in PostgreSQL, named by SPINE_POSTGRES."""
    url = bootstrap(admin_url)
    monkeypatch.setenv("SPINE_POSTGRES", url)
    publish("person", "run-1", url=url)
    yield ids
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gold CASCADE")


def test_why_shows_the_waterfall_and_the_decision(spine: Callable[..., Result], ids: dict[str, str]) -> None:
    shown = spine("why", JANE, TWIN)
    assert shown.exit_code == 0, shown.stderr
    for words in (
        "prior",
        "forename",
        "same address",
        "sum",
        "bits",
        "█",
        "Decided by threshold",
        f"One entity: {ids['c000']}",
        "Brought together by",
    ):
        assert words in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= evidence.WIDTH
    found = json.loads(spine("why", JANE, TWIN, "--json").stdout)
    assert found["steps"][0]["attribute"] == "prior"
    assert found["outcome"] == "one entity"


def test_why_of_strangers_says_that_they_were_never_compared(spine: Callable[..., Result], ids: dict[str, str]) -> None:
    shown = spine("why", JANE, OTHER)
    assert "Two entities" in shown.stdout
    assert "No blocking rule brings them together" in shown.stdout


def test_how_shows_records_joins_and_past(spine: Callable[..., Result], ids: dict[str, str]) -> None:
    shown = spine("how", ids["c000"])
    assert shown.exit_code == 0, shown.stderr
    for words in ("2 records", JANE, TWIN, "How they joined", "Weakest link: 1-2", "What happened to it", "created"):
        assert words in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= evidence.WIDTH
    assert json.loads(spine("how", ids["c000"], "--json").stdout)["record_count"] == 2


def test_lookup_finds_by_name_and_mail(spine: Callable[..., Result], published: dict[str, str]) -> None:
    words = ("lookup", "--name", "Dr. Anna Abel", "--email", "anna.abel0@firm0.com", "--with", "postcode=10100")
    shown = spine(*words)
    assert shown.exit_code == 0, shown.stderr
    for text in (published["c000"], "accepted", "Against its nearest record", " ms "):
        assert text in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= evidence.WIDTH
    found = json.loads(spine(*words, "--json").stdout)
    assert found["hits"][0]["entity_id"] == published["c000"]
    assert found["milliseconds"] > 0


def test_lookup_of_a_stranger_finds_nobody(spine: Callable[..., Result], published: dict[str, str]) -> None:
    assert "No golden record is like this" in spine("lookup", "--name", "Zoltan Quirke", "--email", "zq@elsewhere.org").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("why", JANE, "nobody"), "no live person record nobody"), (("how", "per_x"), "has no person per_x"),
        (("lookup",), "no value to look for"), (("lookup", "--website", "acme.com"), "person is not matched by url"),
        (("lookup", "--with", "email"), "Write it as"), (("lookup", "--with", "shoe=44"), "person is not matched by shoe"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_mistakes_are_one_line(spine: Callable[..., Result], published: dict[str, str], words: tuple[str, ...], told: str) -> None:
    failed = spine(*words)
    assert failed.exit_code == 2
    assert told in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if not line.endswith(" …")]) == 1  # others say what is being done


@pytest.mark.parametrize(
    ("probability", "told"),
    [
        (0.5, "50.0 %"),
        (0.99951, "99.95 %"),
        (0.9999999, "> 99.9999 %"),
        (1e-9, "< 0.0001 %"),
        (1.0, "100.0 %"),
        (0.0, "0.0 %"),
        (0.0004, "0.04 %"),
    ],
)
def test_shares_never_read_certain_unless_they_are(probability: float, told: str) -> None:
    assert evidence.share(probability) == told


@pytest.mark.parametrize(("weight", "drawn"), [(10, "          │██████████"), (-5, "     █████│          "), (0, "          │          ")])
def test_bars_grow_from_the_middle(weight: float, drawn: str) -> None:
    assert evidence.bar(weight, 10).plain == drawn
