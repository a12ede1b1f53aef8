"""`spine match` as a function: files in, files out; every odd input gives a right result or a clear error and leaves no trace."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spine.core.errors import ConfigError, NothingToMatch
from spine.matching.files import read_columns
from spine.matching.request import MatchRequest
from spine.matching.run import explain_plan, match_records

RULES = """entity: person
record_id: id
source: system
attributes:
  given: forename
  family: surname
  mail: email
  born: date
"""
PEOPLE = 120
COLUMNS = ("id", "system", "given", "family", "mail", "born")
Match = Callable[..., dict[str, Any]]


def people() -> list[list[str]]:
    """Every person twice: as the staff list knows them, and as a sales system does, with a slip in every third given name."""
    given = ["Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Kenneth", "Margaret", "Dennis", "Radia", "Tony"]
    random = np.random.default_rng(7)
    rows = []
    for number in range(PEOPLE):
        first = given[random.integers(len(given))]
        last = "".join(random.choice(["ber", "lin", "ko", "va", "sten", "mar", "du", "rez", "hol", "ti", "gan", "wey"], 3)).capitalize()
        mail = f"{first}.{last}@wexford-mills.com".lower()
        born = f"19{random.integers(20, 99)}-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}"
        slip = first[:-1] + first[-1] * 2 if number % 3 == 0 else first
        rows += [[f"s{number:03d}", "staff", first, last, mail, born], [f"c{number:03d}", "sales", slip, last, mail, born]]
    return rows


def text(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in [list(COLUMNS), *rows])


def entities(path: Path) -> dict[str, str]:
    table = read_columns(path, ["record_id", "cluster_id"])
    return dict(zip(table.column("record_id").to_pylist(), table.column("cluster_id").to_pylist(), strict=True))


def groups(path: Path) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for record, cluster in entities(path).items():
        found.setdefault(cluster, set()).add(record)
    return {frozenset(members) for members in found.values()}


PAIRS = {frozenset({f"s{number:03d}", f"c{number:03d}"}) for number in range(PEOPLE)}


@pytest.fixture
def match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Match:
    """Match the people, or `rows` of text, in a folder of their own; a home that is not there must not come to be."""
    monkeypatch.setenv("SPINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPINE_LAKE", str(tmp_path / "lake"))

    def run(rows: str | bytes | None = None, rules: str = RULES, output: str = "clusters.csv", **more: Any) -> dict[str, Any]:
        (tmp_path / "rules.yaml").write_text(rules)
        content = text(people()) if rows is None else rows
        (tmp_path / "people.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        paths = {name: tmp_path / value if isinstance(value, str) and name != "engine" else value for name, value in more.items()}
        result = match_records(
            MatchRequest(**{"records": tmp_path / "people.csv", "rules": tmp_path / "rules.yaml", "output": tmp_path / output} | paths)
        )
        assert not (tmp_path / "home").exists()
        assert not (tmp_path / "lake").exists()
        return result

    return run


class TestResult:
    """What is written and what is told."""

    def test_records_that_are_one_get_one_id(self, match: Match, tmp_path: Path) -> None:
        result = match()
        assert groups(tmp_path / "clusters.csv") == PAIRS
        assert (result["records"], result["clusters"], result["largest"], result["linked_records"]) == (240, PEOPLE, 2, 240)
        assert (result["accepted"], result["conflicts"], result["warnings"], result["no_op"]) == (PEOPLE, 0, [], False)
        assert result["pairs"] >= result["accepted"] + result["review"]
        assert result["seconds"] >= sum(result["stages"].values()) * 0.9
        assert result["peak_mb"] > 10
        confidence = pacsv.read_csv(tmp_path / "clusters.csv").column("confidence")
        assert all(0.85 <= value <= 1 for value in confidence.to_pylist())

    def test_nothing_depends_on_the_order_of_rows_or_the_format(self, match: Match, tmp_path: Path) -> None:
        match()
        wanted = (tmp_path / "clusters.csv").read_bytes()
        rows = people()
        match(text([rows[place] for place in np.random.default_rng(1).permutation(len(rows))]), output="mixed.csv")
        assert (tmp_path / "mixed.csv").read_bytes() == wanted
        table = read_columns(tmp_path / "people.csv", COLUMNS)
        pq.write_table(table, tmp_path / "people.parquet")
        write_deltalake(tmp_path / "people", table)
        for name in ("people.parquet", "people"):
            match(records=name, output="typed.parquet")
            assert entities(tmp_path / "typed.parquet") == entities(tmp_path / "clusters.csv")
        assert pq.read_schema(tmp_path / "typed.parquet").field("confidence").type == pa.float64()

    def test_the_pairs_file_says_why(self, match: Match, tmp_path: Path) -> None:
        result = match(matches="pairs.parquet")
        pairs = pq.read_table(tmp_path / "pairs.parquet")
        fixed = ["left_id", "right_id", "probability", "weight", "decision", "blocking_rule"]
        assert pairs.column_names[:6] == fixed
        names = ["forename", "surname", "generation", "mail", "born", "rest"]
        assert {f"weight_{name}" for name in names} == set(pairs.column_names[6:])
        rows = pairs.to_pylist()
        assert [(row["left_id"], row["right_id"]) for row in rows] == sorted((row["left_id"], row["right_id"]) for row in rows)
        assert all(row["left_id"] < row["right_id"] for row in rows)
        assert all(abs(sum(row[name] for name in pairs.column_names[6:]) - row["weight"]) < 0.001 for row in rows)
        assert all((row["probability"] >= 0.85) == (row["decision"] != "review") for row in rows)
        assert all(0.5 <= row["probability"] <= 1 and row["blocking_rule"] for row in rows)
        assert sum(row["decision"] == "accepted" for row in rows) == result["accepted"]
        match(matches="pairs.csv")
        assert read_columns(tmp_path / "pairs.csv", fixed).num_rows == pairs.num_rows

    def test_the_report(self, match: Match, tmp_path: Path) -> None:
        match(report="report.html")
        page = (tmp_path / "report.html").read_text()
        assert page.startswith("<!doctype html>")
        found = entities(tmp_path / "clusters.csv")
        shown = [record for record in found if record.startswith("s") and record in page]
        assert len(shown) >= 20  # its examples
        assert any(found[record] in page for record in shown)

    def test_the_threshold_is_that_of_the_call_then_of_the_rules(self, match: Match) -> None:
        plain, strict = match()["accepted"], match(threshold=1.0)["accepted"]
        assert strict < plain
        assert match(rules=RULES + "threshold: 1.0\n")["accepted"] == strict
        assert match(rules=RULES + "threshold: 1.0\n", threshold=0.85)["accepted"] == plain

    def test_across_sources_links_only_between_them(self, match: Match, tmp_path: Path) -> None:
        rows = [*people(), ["t000", "staff", "Ada", "Lovelace", "ada.lovelace@example.org", "1920-01-01"]]
        match(text(rows), RULES.replace("attributes:", "link: across_sources\nattributes:"))
        for group in groups(tmp_path / "clusters.csv"):
            assert len(group) == len({member[0].replace("t", "s") for member in group})

    def test_a_source_may_be_absent_or_empty(self, match: Match, tmp_path: Path) -> None:
        rows = [[row[0], "", *row[2:]] for row in people()]
        match(text(rows))
        assert groups(tmp_path / "clusters.csv") == PAIRS
        match(rules=RULES.replace("source: system\n", ""))
        assert groups(tmp_path / "clusters.csv") == PAIRS

    def test_stages_are_told_as_they_pass(self, match: Match, tmp_path: Path) -> None:
        match()
        told: list[tuple[str, str, float | None]] = []
        request = MatchRequest(tmp_path / "people.csv", tmp_path / "rules.yaml", tmp_path / "clusters.csv")
        match_records(request, lambda *event: told.append(event))
        assert [stage for stage, _, seconds in told if seconds is None] == [stage for stage, _, seconds in told if seconds is not None]
        assert ("Read records", "240 records") in {(stage, note) for stage, note, _ in told}

    def test_the_plan_is_told_without_a_file_written(self, match: Match, tmp_path: Path) -> None:
        match()
        before = sorted(tmp_path.iterdir())
        plan = explain_plan(tmp_path / "people.csv", tmp_path / "rules.yaml")
        assert "160 distinct records" in plan
        assert "80 more have the same values" in plan
        assert "same mail" in plan
        assert sorted(tmp_path.iterdir()) == before


class TestOddRecords:
    """Inputs that are no error."""

    def test_no_record(self, match: Match, tmp_path: Path) -> None:
        result = match("id,system,given,family,mail,born\n", matches="pairs.csv", report="report.html")
        assert (tmp_path / "clusters.csv").read_text() == "record_id,cluster_id,confidence\n"
        assert (tmp_path / "pairs.csv").read_text().startswith("left_id,right_id,probability")
        assert result["warnings"] == ["there are no records: the clusters are empty"]
        assert (result["records"], result["pairs"], result["clusters"], result["largest"]) == (0, 0, 0, 0)

    def test_one_record(self, match: Match, tmp_path: Path) -> None:
        result = match(text(people()[:1]), matches="pairs.csv", report="report.html")
        assert groups(tmp_path / "clusters.csv") == {frozenset({"s000"})}
        assert (result["records"], result["clusters"], result["largest"]) == (1, 1, 1)

    def test_an_attribute_without_a_value(self, match: Match, tmp_path: Path) -> None:
        result = match(text([[*row[:5], ""] for row in people()]))
        assert groups(tmp_path / "clusters.csv") == PAIRS
        assert result["warnings"] == ["column born is empty: it tells nothing"]

    def test_no_value_at_all_is_an_error_and_leaves_nothing(self, match: Match, tmp_path: Path) -> None:
        with pytest.raises(NothingToMatch, match="none of the 240 records has a value to match by"):
            match(text([[row[0], row[1], "", "", "", ""] for row in people()]))
        assert not (tmp_path / "clusters.csv").exists()

    def test_a_constant_attribute(self, match: Match, tmp_path: Path) -> None:
        result = match(text([[*row[:5], "1970-01-02"] for row in people()]))
        assert groups(tmp_path / "clusters.csv") == PAIRS
        assert "column born has the same value everywhere: it tells nothing" in result["warnings"]

    @pytest.mark.timeout(120)
    def test_values_of_200_kB(self, match: Match, tmp_path: Path) -> None:
        rows = people()
        for number, row in enumerate(rows[:8]):
            row[2 + number % 4] = "verylongword " * 16_000
        match(text(rows), matches="pairs.csv")
        assert PAIRS - groups(tmp_path / "clusters.csv") <= {frozenset({row[0], row[0].translate({99: 115, 115: 99})}) for row in rows[:8]}

    def test_emoji_and_mixed_scripts(self, match: Match, tmp_path: Path) -> None:
        odd = [
            ["x1", "staff", "Ада 🦊", "Лавлейс", "ada@пример.рф", "1815-12-10"], ["x2", "sales", "Ада", "Лавлейс", "ada@пример.рф", ""],
            ["x3", "staff", "花子", "山田", "hanako@例え.jp", "1990-01-02"], ["x4", "sales", "👩‍👩‍👧", "🦊", "🦊@example.org", ""],
        ]  # fmt: skip
        match(text([*people(), *odd]))
        found = groups(tmp_path / "clusters.csv")
        assert found >= PAIRS
        assert {frozenset({"x1", "x2"}), frozenset({"x3"}), frozenset({"x4"})} <= found

    def test_quotes_and_line_ends_in_values_and_ids(self, match: Match, tmp_path: Path) -> None:
        rows = text(people()) + '"say ""x"",\nthen y",staff,Zoë,"O\'Neil, the\nyounger",,\n'
        match(rows)
        assert frozenset({'say "x",\nthen y'}) in groups(tmp_path / "clusters.csv")


class TestMistakes:
    """Errors name what is wrong, where, and what to do; no file is written."""

    @pytest.fixture
    def refused(self, match: Match, tmp_path: Path) -> Callable[..., ConfigError]:
        def run(*words: Any, **more: Any) -> ConfigError:
            (tmp_path / "clusters.csv").write_text("former")
            with pytest.raises(ConfigError) as raised:
                match(*words, **more)
            assert (tmp_path / "clusters.csv").read_text() == "former"
            assert not [item for item in tmp_path.iterdir() if item.name.endswith((".partial", ".json"))]
            return raised.value

        return run

    def test_duplicate_ids_are_named_with_their_counts(self, refused: Callable[..., ConfigError]) -> None:
        rows = people()
        rows += rows[:6] + rows[:1]
        error = refused(text(rows))
        twice = ", ".join(f"{name!r} (2 times)" for name in ("c000", "c001", "c002", "s001"))
        assert error.message == f"id of people.csv is not unique: 's000' (3 times), {twice} and 1 more"

    def test_records_without_an_id(self, refused: Callable[..., ConfigError]) -> None:
        rows = people()
        rows[3][0] = rows[9][0] = ""
        assert refused(text(rows)).message == "2 of 240 records of people.csv have no id"

    def test_an_unknown_column(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(rules=RULES.replace("given:", "givenname:").replace("  born", "  birth"))
        assert error.message == "people.csv has no columns givenname, birth"
        assert error.hint.endswith("It has id, system, given, family, mail, born")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            pytest.param(("given: forename", "given: fornam"), r"rules\.yaml:5: attributes\.given", id="an unknown kind"),
            pytest.param(("record_id: id\n", ""), r"rules\.yaml:1: record_id", id="no record id"),
            pytest.param(("source:", "sorce:"), r"rules\.yaml:3: sorce", id="an unknown key"),
            pytest.param(("entity: person", "entity: [person"), r"rules\.yaml:\d+: not YAML", id="no YAML"),
            pytest.param((RULES, ""), r"rules\.yaml:1", id="an empty file"),
            pytest.param(
                ("  given: forename\n  family: surname\n  mail: email\n  born: date\n", "  given: ignore\n"), "attribute", id="nothing"
            ),
        ],
    )
    def test_rules_name_file_and_line(self, refused: Callable[..., ConfigError], change: tuple[str, str], message: str) -> None:
        error = refused(rules=RULES.replace(*change))
        assert re.search(message, error.message), error.message

    @pytest.mark.parametrize(
        "more",
        [
            {"output": "clusters"}, {"output": "none/clusters.csv"}, {"matches": "pairs.txt"}, {"matches": "none/pairs.csv"},
            {"report": "none/report.html"}, {"output": "people.csv"}, {"matches": "clusters.csv"}, {"report": "rules.yaml"},
            {"threshold": 1.5}, {"threshold": 0.2}, {"records": "none.csv"}, {"rules": RULES[:-6]}, {"previous": "none.csv"},
        ],
        ids=str,
    )  # fmt: skip
    def test_arguments(self, refused: Callable[..., ConfigError], more: dict[str, Any]) -> None:
        assert refused(**more).describe()

    @pytest.mark.parametrize(
        ("previous", "message"),
        [
            ("record_id,cluster_id,confidence\na,x,1\na,y,1\n", "not unique: 'a'"),
            ("record_id,cluster_id,confidence\na,,1\n", "no cluster_id"),
            ("id,cluster\na,x\n", "no columns record_id, cluster_id"), ("", "is empty"),
        ],
    )  # fmt: skip
    def test_previous_clusters_that_are_none(
        self, refused: Callable[..., ConfigError], tmp_path: Path, previous: str, message: str
    ) -> None:
        (tmp_path / "previous.csv").write_text(previous)
        assert message in refused(previous="previous.csv").message


class TestPrevious:
    """Going on from former clusters."""

    def test_ids_live_on_and_changes_are_told(self, match: Match, tmp_path: Path) -> None:
        rows = people()
        match(text(rows[4:]))
        before = entities(tmp_path / "clusters.csv")
        result = match(text(rows[:-2]), previous="clusters.csv")
        after = entities(tmp_path / "clusters.csv")
        assert {record: cluster for record, cluster in after.items() if record in before} == {
            record: cluster for record, cluster in before.items() if record in after
        }
        assert groups(tmp_path / "clusters.csv") == PAIRS - {frozenset({"s119", "c119"})}
        assert (result["created"], result["left"], result["retired"], result["merged"], result["changes"]) == (2, 2, 1, 0, [])
        kinds = read_columns(tmp_path / "clusters.csv.changes.csv", ["kind"]).column("kind").to_pylist()
        assert sorted(kinds) == ["created", "created", "left", "left", "retired"]
        assert result["run"] == 2

    def test_merges_and_splits_are_listed(self, match: Match, tmp_path: Path) -> None:
        former = "record_id,cluster_id,confidence\ns000,a,1\nc000,b,1\ns001,c,1\nc001,c,1\ns002,c,1\nc002,d,1\n"
        (tmp_path / "former.csv").write_text(former)
        result = match(previous="former.csv")
        own = entities(tmp_path / "clusters.csv")
        assert own["s000"] == own["c000"] == "a"
        assert own["s001"] == own["c001"] == "c"
        assert (own["s002"], result["merged"], result["split"]) == (own["c002"], 1, 1)
        assert [(row["kind"], row["cluster_id"]) for row in result["changes"]] == [("merged", "a"), ("split", "c")]
        assert (tmp_path / "former.csv").read_text() == former

    def test_without_a_change_nothing_is_done(self, match: Match, tmp_path: Path) -> None:
        match(matches="pairs.csv")
        files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name.startswith(("clusters", "pairs"))}
        result = match(previous="clusters.csv", matches="pairs.csv")
        assert result["no_op"] is True
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name.startswith(("clusters", "pairs"))} == files
        assert match(previous="clusters.csv", output="copy.parquet")["no_op"] is True
        assert entities(tmp_path / "copy.parquet") == entities(tmp_path / "clusters.csv")
        assert match(previous="copy.parquet", output="copy.parquet")["no_op"] is True

    @pytest.mark.parametrize("change", ["records", "rules", "threshold", "clusters", "pairs", "note"])
    def test_any_change_is_seen(self, match: Match, tmp_path: Path, change: str) -> None:
        match(matches="pairs.csv")
        rows, more = people(), {"matches": "pairs.csv"}
        if change == "records":
            rows[0][2] = "Augusta"
        elif change == "clusters":
            (tmp_path / "clusters.csv").write_text((tmp_path / "clusters.csv").read_text().replace("s000,", "s999,"))
        elif change == "pairs":
            (tmp_path / "pairs.csv").write_text("")
        elif change == "note":
            (tmp_path / "clusters.csv.run.json").write_text("{")
        threshold = 0.9 if change == "threshold" else None
        rules = RULES + "threshold: 0.86\n" if change == "rules" else RULES
        assert match(text(rows), rules, previous="clusters.csv", threshold=threshold, **more)["no_op"] is False
        assert match(text(rows), rules, previous="clusters.csv", threshold=threshold, **more)["no_op"] is True

    def test_a_fresh_run_has_the_same_ids_and_no_changes(self, match: Match, tmp_path: Path) -> None:
        match()
        first = entities(tmp_path / "clusters.csv")
        match(text(people()[2:]), previous="clusters.csv")
        assert (tmp_path / "clusters.csv.changes.csv").exists()
        match()
        assert entities(tmp_path / "clusters.csv") == first
        assert not (tmp_path / "clusters.csv.changes.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["match.before_clusters", "match.after_clusters"])
def test_a_killed_run_leaves_whole_clusters_and_the_next_one_goes_on(match: Match, tmp_path: Path, place: str) -> None:
    rows = people()
    match(text(rows[2:]))
    former = (tmp_path / "clusters.csv").read_bytes()
    shutil.copytree(tmp_path, tmp_path / "undisturbed")
    wanted = match_records(_again(match, tmp_path / "undisturbed", rows))
    code = (
        "import sys; from pathlib import Path\n"
        "from spine.matching.request import MatchRequest; from spine.matching.run import match_records\n"
        "records, rules, clusters = (Path(sys.argv[1]) / name for name in ('people.csv', 'rules.yaml', 'clusters.csv'))\n"
        "match_records(MatchRequest(records, rules, clusters, previous=clusters))"
    )
    (tmp_path / "people.csv").write_text(text(rows))
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"SPINE_FAILPOINT": place}, check=False)
    assert died.returncode == -signal.SIGKILL
    now = (tmp_path / "clusters.csv").read_bytes()
    assert (now == former) == (place == "match.before_clusters")
    assert match(text(rows), previous="clusters.csv")["no_op"] is False
    assert entities(tmp_path / "clusters.csv") == entities(tmp_path / "undisturbed" / "clusters.csv")
    assert wanted["created"] == 1


def _again(match: Match, folder: Path, rows: list[list[str]]) -> MatchRequest:
    (folder / "people.csv").write_text(text(rows))
    return MatchRequest(folder / "people.csv", folder / "rules.yaml", folder / "clusters.csv", previous=folder / "clusters.csv")


def test_the_state_of_a_run_is_readable(match: Match, tmp_path: Path) -> None:
    match()
    note = orjson.loads((tmp_path / "clusters.csv.run.json").read_bytes())
    assert (note["run"], note["inputs"]["threshold"]) == (1, 0.85)
