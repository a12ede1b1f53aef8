"""`spine match` and the Spark job of the same arguments: what people see, what scripts get, and that it starts quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spine.cli.commands import app

PROJECT = Path(__file__).resolve().parents[2]
RULES = "entity: person\nrecord_id: id\nattributes:\n  given: forename\n  family: surname\n  mail: email\n"
GIVEN, FAMILY = ("Ada", "Alan", "Grace", "Edsger", "Barbara"), ("Lovelace", "Turing", "Hopper", "Dijkstra", "Liskov", "Knuth")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rules and records, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINE_HOME", str(tmp_path / "home"))
    Path("person.yaml").write_text(RULES)
    write_people(40)
    return tmp_path


def write_people(count: int) -> None:
    rows = []
    for number in range(count):
        first, last = GIVEN[number % 5], f"{FAMILY[number % 6]}{'abcdefghij'[number // 10 % 10]}{'klmnopqrst'[number % 10]}"
        mail = f"{first}.{last}{number}@wexford-mills.com".lower()
        rows += [f"a{number},{first},{last},{mail}\n", f"b{number},{first},{last},{mail}\n"]
    Path("people.csv").write_text("id,given,family,mail\n" + "".join(rows))


@pytest.fixture
def spine() -> Callable[..., Result]:
    def run(words: str) -> Result:
        return CliRunner().invoke(app, words.split(), prog_name="spine")

    return run


Spine = Callable[..., Result]


def test_a_person_sees_stages_and_a_summary(spine: Spine, folder: Path) -> None:
    done = spine("match people.csv --entity person.yaml --output clusters.csv --matches pairs.csv --report report.html")
    assert done.exit_code == 0, done.output
    assert "Read records" in done.stderr
    assert "80 records" in done.stderr
    for what in ("records", "pairs compared", "pairs accepted", "pairs for review", "pairs in conflict", "clusters", "largest cluster"):
        assert what in done.stdout
    assert {path.name for path in folder.iterdir()} == {
        "person.yaml", "people.csv", "clusters.csv", "clusters.csv.run.json", "clusters.csv.state", "pairs.csv", "report.html"
    }  # fmt: skip


def test_a_script_gets_json_and_nothing_else_on_stdout(spine: Spine, folder: Path) -> None:
    result = json.loads(spine("match people.csv -e person.yaml -o clusters.parquet --json").stdout)
    assert (result["records"], result["clusters"], result["largest"], result["no_op"]) == (80, 40, 2, False)
    assert {"pairs", "accepted", "review", "conflicts", "seconds", "peak_mb", "stages", "warnings"} <= set(result)


def test_the_plan_is_printed_and_nothing_is_written(spine: Spine, folder: Path) -> None:
    before = sorted(folder.iterdir())
    shown = spine("match people.csv --entity person.yaml --explain-plan")
    assert shown.exit_code == 0, shown.output
    assert "same mail" in shown.stdout
    assert "same mail" in json.loads(spine("match people.csv --entity person.yaml --explain-plan --json").stdout)["plan"]
    assert sorted(folder.iterdir()) == before


def test_going_on_from_former_clusters(spine: Spine, folder: Path) -> None:
    spine("match people.csv -e person.yaml -o clusters.csv")
    again = spine("match people.csv -e person.yaml -o clusters.csv --previous clusters.csv")
    assert again.stdout == "Nothing changed: the clusters of 80 records stay as they are\n"
    former = Path("clusters.csv").read_text().splitlines()
    Path("clusters.csv").write_text("\n".join(line.replace(",per_", ",old_") if line.startswith("a0,") else line for line in former) + "\n")
    merged = spine("match people.csv -e person.yaml -o clusters.csv --previous clusters.csv")
    assert "clusters merged into another" in merged.stdout
    assert "Merges and splits, the first of 1 (all are in clusters.csv.changes.csv)" in merged.stdout
    assert "1 record came from it" in merged.stdout


def test_warnings_are_on_stderr(spine: Spine, folder: Path) -> None:
    Path("people.csv").write_text(Path("people.csv").read_text().replace("@wexford-mills.com", ""))
    Path("people.csv").write_text("".join(f"{line.rsplit(',', 1)[0]},{'mail' if not n else ''}\n" for n, line in
                                          enumerate(Path("people.csv").read_text().splitlines())))  # fmt: skip
    done = spine("match people.csv -e person.yaml -o clusters.csv")
    assert "Warning: column mail is empty: it tells nothing" in done.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("match none.csv -e person.yaml -o clusters.csv", "there is no file none.csv"),
        ("match people.csv -e none.yaml -o clusters.csv", "none.yaml"),
        ("match people.csv -e person.yaml", "--output is missing"),
        ("match people.csv -e person.yaml -o clusters", "clusters does not say which format"),
        ("match people.csv -e person.yaml -o clusters.csv --threshold 2", "no probability"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(spine: Spine, folder: Path, words: str, part: str) -> None:
    failed = spine(words)
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert part in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if not line.endswith(" …")]) == 1  # others say what is being done


NAMES = [(given, family) for given in GIVEN for family in FAMILY]


@pytest.mark.parametrize(
    ("rows", "attributes", "part"),
    [
        pytest.param([",,", ",,"] * 20, "given: forename, family: surname", "given, family are empty", id="empty columns"),
        pytest.param(["Ann,Lee,"] * 20, "given: forename, family: surname", "all 20 records have the same given and family", id="one name"),
        pytest.param([f"{given},{family}," for given, family in NAMES * 20], "given: forename, family: surname",
                     "even with the same person name two are one with a probability of 0", id="namesakes"),
        pytest.param([f"{at % 3},," for at in range(90)], "given: city", "no two of the 90 records can be one", id="one column of towns"),
    ],
)  # fmt: skip
def test_records_that_hold_too_little_end_with_a_word_and_a_code_of_their_own(
    spine: Spine, folder: Path, rows: list[str], attributes: str, part: str
) -> None:
    Path("person.yaml").write_text(f"entity: person\nrecord_id: id\nattributes: {{{attributes}}}\n")
    Path("people.csv").write_text("id,given,family,mail\n" + "".join(f"{at},{row}\n" for at, row in enumerate(rows)))
    failed = spine("match people.csv -e person.yaml -o clusters.csv --json")
    told = json.loads(failed.stdout)["error"]
    assert (failed.exit_code, told["code"]) == (5, "NOTHING_TO_MATCH")
    assert part in told["message"]
    assert part in failed.stderr
    assert told["hint"], "what would help"
    assert not Path("clusters.csv").exists()


def test_ids_alone_are_a_mistake_of_the_rules(spine: Spine, folder: Path) -> None:
    Path("ids.csv").write_text("id\n1\n2\n")
    failed = spine("match ids.csv -e person -o clusters.csv --json")
    assert failed.exit_code == 2
    assert "ids.csv has no column that can be matched (it has id)" in json.loads(failed.stdout)["error"]["message"]


def test_nothing_found_is_a_warning(spine: Spine, folder: Path) -> None:
    lines = Path("people.csv").read_text().splitlines()
    Path("people.csv").write_text("\n".join(line for line in lines if not line.startswith("b")) + "\n")
    done = spine("match people.csv -e person.yaml -o clusters.csv")
    assert done.exit_code == 0
    assert "Warning: no two of the 40 records were found to be one" in done.stderr


def test_a_run_ends_with_what_it_could_not_do(spine: Spine, folder: Path) -> None:
    done = spine("match people.csv -e person.yaml -o clusters.csv")
    assert "What it could not do" in done.stdout
    assert "pairs of records is a match" in done.stdout.splitlines()[-1]
    assert json.loads(spine("match people.csv -e person.yaml -o clusters.csv --json").stdout)["shortfalls"]["rarity"]["together"] == 40


def test_several_files_tell_which_column_was_taken_for_what(spine: Spine, folder: Path) -> None:
    Path("erp.csv").write_text(
        Path("people.csv").read_text().replace("id,given,family,mail", "key;Vorname;Nachname;E-Mail").replace(",", ";")
    )
    done = spine("match people.csv erp.csv --entity person -o clusters.csv")
    assert done.exit_code == 0, done.output
    assert "erp: record_id ← key, given_name ← Vorname, family_name ← Nachname, email ← E-Mail" in done.stderr
    assert Path("clusters.csv").read_text().splitlines()[0] == "source,record_id,cluster_id,confidence"
    assert [source["source"] for source in json.loads(spine("match people.csv erp.csv -e person -o c.csv --json").stdout)["sources"]] == [
        "people", "erp"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_thousand_records_take_less_than_three_seconds(folder: Path) -> None:
    """On a busy machine: no more than four times what importing pandas and scipy takes, which every such process must do."""
    write_people(500)
    words = [sys.executable, "-m", "spine.cli", "match", "people.csv", "-e", "person.yaml", "-o", "clusters.csv"]
    libraries = [sys.executable, "-c", "import pandas, scipy.cluster.hierarchy"]
    seconds = [[_seconds(words), _seconds(libraries)] for _ in range(3)]
    fastest, yardstick = (min(column) for column in zip(*seconds, strict=True))
    assert fastest < max(3, 4 * yardstick)


def _seconds(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - started


def test_neither_server_nor_scheduler_is_imported(folder: Path) -> None:
    code = (
        "import sys; sys.argv = ['spine', 'match', 'people.csv', '-e', 'person.yaml', '-o', 'clusters.csv']\n"
        "try:\n    from spine.cli import main; main()\nfinally:\n    print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"airflow", "pyspark", "deltalake", "duckdb", "sqlalchemy", "great_expectations", "psycopg"}
    assert not heavy & set(done.stdout.splitlines()[-1].split())


class TestJob:
    """`spark_jobs/match_identities.py`: `spine match` when it is given RECORDS, otherwise the lake's entity."""

    @staticmethod
    def job(*words: str) -> subprocess.CompletedProcess[str]:
        script = str(PROJECT / "spark_jobs" / "match_identities.py")
        return subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False, env=os.environ.copy())

    def test_records_of_a_file(self, folder: Path) -> None:
        done = self.job("people.csv", "--entity", "person.yaml", "--output", "clusters.csv", "--json", "--result", "result.json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["clusters"] == 40
        assert json.loads(Path("result.json").read_text())["result"]["clusters"] == 40
        assert not Path("home").exists()

    def test_several_files_whose_columns_are_found(self, folder: Path) -> None:
        Path("erp.csv").write_text(Path("people.csv").read_text().replace("id,given,family,mail", "key,Vorname,Nachname,E-Mail"))
        words = ("people.csv", "--source", "erp=erp.csv", "--entity", "person", "--output", "clusters.csv", "--result", "result.json")
        done = self.job(*words)
        assert done.returncode == 0, done.stderr
        told = json.loads(Path("result.json").read_text())["result"]
        assert ([source["source"] for source in told["sources"]], told["records"]) == (["people", "erp"], 160)

    def test_a_mistake_is_in_the_result(self, folder: Path) -> None:
        done = self.job("none.csv", "--entity", "person.yaml", "--output", "clusters.csv", "--result", "result.json")
        assert done.returncode == 1
        assert json.loads(Path("result.json").read_text())["error"]["code"] == "CONFIG_INVALID"

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            ("--entity person", "--run-id is required without RECORDS"),
            ("--entity person --run-id r --threshold 0.9", "--threshold needs RECORDS"),
            ("people.csv --entity person.yaml", "--output is required with RECORDS"),
            ("people.csv --entity person.yaml --output c.csv --incremental", "--incremental is not for a file of records"),
        ],
    )
    def test_arguments_of_the_other_mode_are_refused(self, folder: Path, words: str, part: str) -> None:
        done = self.job(*words.split())
        assert done.returncode == 2
        assert part in done.stderr
