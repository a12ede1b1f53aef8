"""Matrix, estimate, level and upgrade are computed from the files that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spine.cli.commands import app
from spine.core.errors import ConfigError
from spine.sources.spec import load_source
from spine.sources.tools.catalog import EFFORT, all_facts, approach_of, estimate, lines_of, matrix
from spine.sources.tools.levels import NEEDS, levels_for
from spine.sources.tools.upgrading import upgrade

FIRST = """# as it was written once
source: acme
label: Acme
domain: revops
auth: {type: api-key, header: X-Key}  # of the old days
streams:
  - name: people
    path: /people
    key: [id]
    paging: {size: 100, type: "cursor", next: meta.next, param: after}
  - name: teams
    path: /teams
    key: [id]
    paging:
      type: cursor
      next: next
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    (tmp_path / "acme.yaml").write_text(FIRST)
    return tmp_path


def test_a_source_that_is_there_costs_what_it_is_made_of() -> None:
    salesforce = estimate("salesforce")
    assert (salesforce["approach"], salesforce["dev_effort"]) == ("custom", EFFORT["custom"])
    assert salesforce["config_lines"] > 50
    assert salesforce["code_lines"] > 200
    assert estimate("people_files")["code_lines"] == 0


def test_a_source_that_needs_a_class_for_one_step_is_an_answer_of_its_own(sources: Path) -> None:
    assert estimate("acme")["approach"] == "generic"
    (sources / "acme.yaml").write_text(FIRST.replace("domain: revops", "domain: revops\nreader: hubspot"))
    assert approach_of(load_source("acme")) == "hybrid"
    assert estimate("acme")["code_lines"] > 100


def test_a_source_that_nobody_knows_is_to_be_tried_as_a_generic_one_first() -> None:
    found = estimate("nobody_knows")
    assert found["approach"] == "unknown - requires analysis"
    assert "spine sources new nobody_knows" in found["recommendation"]


def test_the_matrix_holds_every_source_once_and_counts_no_empty_line(sources: Path) -> None:
    assert [row["sources"] for row in matrix()] == [["acme"], [], [], []]
    (facts,) = all_facts()
    assert (facts.streams, facts.incremental, facts.paging, facts.config_lines) == (2, 0, ("cursor",), 15)
    assert lines_of(sources / "acme.yaml") == 15


def test_words_of_the_first_version_are_rewritten_and_nothing_besides(sources: Path) -> None:
    changes = upgrade("acme")
    assert [(change.line, change.after) for change in changes] == [(5, "type: api_key"), (10, "type: next_token"), (15, "type: next_token")]
    text = FIRST.replace("api-key", "api_key").replace('type: "cursor"', "type: next_token").replace("type: cursor", "type: next_token")
    assert (sources / "acme.yaml").read_text() == text
    assert upgrade("acme") == []


def test_a_dry_run_and_a_broken_file_change_nothing(sources: Path) -> None:
    assert len(upgrade("acme", write=False)) == 3
    assert (sources / "acme.yaml").read_text() == FIRST
    (sources / "acme.yaml").write_text(FIRST.replace("key: [id]", "key: []"))
    with pytest.raises(ConfigError):
        upgrade("acme")


@pytest.mark.parametrize(("needs", "levels"), [
    ((), ["L1"]), (("no_code",), ["L1"]), (("joins",), ["L2"]), (("warehouse", "no_code"), ["L2"]), (("webhooks",), ["L3"]),
    (("advanced_auth", "aggregation"), ["L3", "L2"]), (tuple(NEEDS), ["L3", "L2"]),
])  # fmt: skip
def test_a_need_asks_for_the_level_that_is_for_it(needs: tuple[str, ...], levels: list[str]) -> None:
    assert [one.level for one in levels_for(needs)] == levels


def test_the_commands_say_the_same_to_people_and_to_scripts(sources: Path) -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["sources", *words], prog_name="spine")
        assert done.exit_code == 0, done.output
        return done.stdout

    assert json.loads(said("matrix", "--json"))["sources"][0]["source"] == "acme"
    assert "acme" in said("matrix")
    assert json.loads(said("estimate", "acme", "--json"))["approach"] == "generic"
    assert json.loads(said("level", "joins", "webhooks", "--json"))[0]["level"] == "L3"
    assert said("level", "joins").startswith("L2, for data engineers")
    assert said("upgrade", "--dry-run").splitlines()[0] == "acme, line 5: type: api-key → type: api_key"
    assert len(json.loads(said("upgrade", "--json"))["acme"]) == 3
    assert said("upgrade") == "1 file is current\n"
