"""The report made from Gold says what the tables say, of one tenant alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spine.core.errors import ConfigError
from spine.gold import stewardship as overrides
from spine.gold.report import gold_report
from spine.lake import gold

Headline = Callable[[str], int]


@pytest.fixture
def world(gold_world: Any) -> Any:
    """Sixty people; every third is in a second source, too; one has a name that wants to break the page. Another tenant has six."""
    crowd = gold_world.crowd(60)
    crowd[0]["given_name"] = "<script>alert(1)</script>"
    gold_world.put("salesforce", crowd)
    gold_world.put("hubspot", [row | {"id": f"h{row['id']}", "birth_date": None} for row in crowd[::3]])
    gold_world.put("salesforce", [row | {"id": f"other{row['id']}"} for row in crowd[:6]], "other")
    gold_world.resolve()
    gold_world.resolve("other")
    return gold_world


def headline(page: str, name: str) -> int:
    found = re.search(rf"<dt>{name}</dt><dd>([\d,]+)</dd>", page)
    assert found, name
    return int(found[1].replace(",", ""))


def test_the_page_counts_what_gold_holds(world: Any, tmp_path: Path) -> None:
    gold_report(tmp_path / "r.html", "person", "default")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    links = gold.read_rows(gold.LINKS, [("tenant_id", "=", "default")])
    matches = gold.read_rows(gold.MATCHES, [("tenant_id", "=", "default")])
    assert headline(page, "records") == len(links) == 80
    assert headline(page, "entities") == len({link["entity_id"] for link in links})
    assert headline(page, "links") == sum(match["decision"] == "accepted" for match in matches) >= 18
    assert page.count("<summary>") >= 20
    surest = max((match for match in matches if match["decision"] == "accepted"), key=lambda match: match["weight"])
    assert surest["left_ref"] in page
    assert "same address" in page or "same e-mail" in page, "the waterfall of a pair names its levels"


def test_stewards_words_show_how_far_probabilities_hold(world: Any, tmp_path: Path) -> None:
    gold_report(tmp_path / "r.html", "person", "default")
    assert "<h2>Calibration</h2>" not in (tmp_path / "r.html").read_text(encoding="utf-8"), "nobody has spoken yet"
    pairs = sorted((row["left_ref"], row["right_ref"]) for row in gold.read_rows(gold.MATCHES, [("tenant_id", "=", "default")]))
    for kind, refs in zip(("unlink", "link"), pairs, strict=False):
        overrides.order(kind, records=list(refs), run_id=kind, tenant="default", actor="anna", reason="I asked them")
    gold_report(tmp_path / "r.html", "person", "default")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '2 likely pairs judged by <bdi dir="auto">stewards</bdi>' in page
    assert re.search(r"2 pairs promised [^,]*, right 50", page), "one of both was taken apart"


def test_other_tenants_are_not_on_it_and_values_stay_text(world: Any, tmp_path: Path) -> None:
    gold_report(tmp_path / "r.html", "person", "default")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "otherc00" not in page
    assert "<script" not in page


def test_a_tenant_without_gold_is_told_what_to_do(world: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no golden records of person"):
        gold_report(tmp_path / "r.html", "person", "nobody")
    assert not (tmp_path / "r.html").exists()
