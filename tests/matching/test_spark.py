"""`spine match` on Spark: the files and counts of a run in one process, and its words for mistakes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spine.core.errors import ConfigError, JobFailed
from spine.matching import run as module
from spine.matching.files import has_more_rows, read_columns
from spine.matching.request import MatchRequest
from spine.matching.run import match_records
from spine.matching.spark import _records

pytestmark = [pytest.mark.spark, pytest.mark.slow]
RULES = """entity: person
record_id: id
source: system
attributes:
  given: forename
  family: surname
  mail: email
  born: date
"""
COLUMNS = ("id", "system", "given", "family", "mail", "born")
Run = Callable[..., dict[str, Any]]


def people() -> list[list[str]]:
    """A hundred people as two systems know them: slips in names, values that are missing, one mailbox that many use."""
    given = ["Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Kenneth", "Margaret", "Dennis", "Radia", "Tony"]
    random = np.random.default_rng(7)
    rows = []
    for number in range(100):
        first = given[random.integers(len(given))]
        last = "".join(random.choice(["ber", "lin", "ko", "va", "sten", "mar", "du", "rez", "hol", "ti", "gan", "wey"], 2)).capitalize()
        mail = "office@wexford-mills.com" if number % 9 == 0 else f"{first}.{last}@wexford-mills.com".lower()
        born = f"19{random.integers(20, 99)}-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}"
        slip = first[:-1] + first[-1] * 2 if number % 3 == 0 else first
        known = "" if number % 7 == 0 else born
        rows += [[f"s{number:03d}", "staff", first, last, mail, born], [f"c{number:03d}", "", slip, last, mail, known]]
    return rows


def text(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in [list(COLUMNS), *rows])


@pytest.fixture
def run(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Match `content` or the people, into files named after the engine."""
    monkeypatch.setattr("spine.matching.spark.spark_session", lambda name, **_: spark)

    def one(engine: Any, content: str | bytes | None = None, **more: Any) -> dict[str, Any]:
        (tmp_path / "rules.yaml").write_text(RULES)
        content = text(people()) if content is None else content
        (tmp_path / "people.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        paths = {name: tmp_path / value if isinstance(value, str) and name != "relearn" else value for name, value in more.items()}
        request = {"output": tmp_path / f"{engine}.csv", "matches": tmp_path / f"{engine}.pairs.csv"} | paths
        return match_records(MatchRequest(tmp_path / "people.csv", tmp_path / "rules.yaml", engine=engine, **request))

    return one


def told(result: dict[str, Any]) -> dict[str, Any]:
    own = ("seconds", "stages", "peak_mb", "output", "could_not", "shortfalls")
    return {name: value for name, value in result.items() if name not in own}


def same(tmp_path: Path) -> None:
    for name in ("{}.csv", "{}.pairs.csv"):
        assert (tmp_path / name.format("spark")).read_bytes() == (tmp_path / name.format("local")).read_bytes()


def test_spark_gives_the_files_and_counts_of_one_process(run: Run, tmp_path: Path) -> None:
    rows = people()
    content = text(rows) + '"say ""x"",\nthen y",staff,Zoë,"O\'Neil, the\r\nyounger",,\n'
    local, spark = run("local", content), run("spark", content)
    same(tmp_path)
    assert told(local) == told(spark)
    assert spark["pairs"] >= spark["accepted"] + spark["review"] >= spark["accepted"] > 50
    assert [stage for stage in spark["stages"] if stage != "Standardise"] == [*spark["stages"]]
    assert not (tmp_path / "spark.csv.state").exists()

    fewer = text(rows[3:])
    local, spark = (run(engine, fewer, previous=f"{engine}.csv", relearn="always") for engine in ("local", "spark"))
    same(tmp_path)
    assert told(local) == told(spark)
    assert (spark["run"], spark["left"]) == (2, 4)
    changes = [(tmp_path / f"{engine}.csv.changes.csv").read_text().splitlines() for engine in ("local", "spark")]
    assert changes[0] == changes[1]
    assert run("spark", fewer, previous="spark.csv")["no_op"] is True


def test_many_records_are_for_spark(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCAL_RECORDS", 100)
    with pytest.raises(ConfigError, match="report needs all pairs in one process"):
        run("auto", report="report.html")
    result = run("auto", text(people()[:120]), matches=None)
    assert "Standardise" not in result["stages"]
    assert result["accepted"] > 30
    table = pa.table({"id": [str(number) for number in range(60)]})
    pq.write_table(table, tmp_path / "60.parquet")
    write_deltalake(tmp_path / "60", table)
    for name in ("60.parquet", "60"):
        assert (has_more_rows(tmp_path / name, 59), has_more_rows(tmp_path / name, 60)) == (True, False)
    assert not has_more_rows(tmp_path / "none.csv", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(text(people()[:20] + people()[:6] + people()[:1]), "id of people.csv is not unique: 's000' (3 times), ", id="twice"),
        pytest.param(text(people()[:20]).replace("s003,", ","), "1 of 20 records of people.csv have no id", id="no id"),
        pytest.param(text(people()[:20]).replace("born", "birth"), "people.csv has no column born", id="no column"),
        pytest.param(text(people()[:20]) + "s500,staff,Ada\n", "people.csv is not a whole CSV: 1 rows have", id="torn"),
        pytest.param(text(people()[:20]) + 's500,staff,Ada,,,"19\n', "people.csv has a quote that is never closed", id="open quote"),
        pytest.param(text(people()[:20]).encode() + b"s500,staff,Zo\xeb,,,\n", "people.csv is not UTF-8 text (line 22)", id="latin"),
        pytest.param("", "is empty: it has not even a header", id="empty"),
    ],
)
def test_mistakes_are_told_as_by_one_process(run: Run, tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        run("spark", content)
    assert message in raised.value.message
    if "torn" not in raised.value.hint:
        with pytest.raises(ConfigError) as alone:
            run("local", content)
        assert alone.value.describe() == raised.value.describe()
    assert not (tmp_path / "spark.csv").exists()


def test_empty_rows_are_skipped(run: Run, tmp_path: Path) -> None:
    content = text(people()[:30]) + ",,,,,\n" * 12
    local, spark = run("local", content), run("spark", content)
    same(tmp_path)
    assert told(local) == told(spark)
    assert spark["records"] == 30


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_records(run: Run, tmp_path: Path, count: int) -> None:
    local, spark = (run(engine, text(people()[:count])) for engine in ("local", "spark"))
    same(tmp_path)
    assert told(local) == told(spark)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('\ufeffid,name\r\n1,Ada\r\n\r\n2,""\r\n3, Al ', id="mark, Windows lines, empty line, spaces"),
        pytest.param('other;" name ";id\nx;"Ada, ""C""\nof L";1\nx;;2\nx;NA;3\n', id="quotes, semicolons, other columns"),
        pytest.param('id,name\n1,12" disc\n2,5" \n', id="a quote inside a value"),
        pytest.param("id,name\n", id="a header alone"),
        pytest.param("sep=;\r\nid;name\r\n1;1.234,5\r\n2;7\r\n", id="a line that states the delimiter, decimal commas"),
        pytest.param("sep=|\nid\u00a0|name\n1|Zoë\n2|Al\n", id="bars, and what nobody sees around names"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_csv_gives_the_same_texts(spark: Any, tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "odd [1], {a} name*.csv"
    path.write_bytes(content.encode(encoding))
    found = _records(spark, path, ["id", "name"]).toArrow()
    assert found.select(["id", "name"]).sort_by("id").to_pylist() == read_columns(path, ["id", "name"]).to_pylist()
    assert not any(found.column(2).to_pylist())


def test_typed_columns_give_the_same_texts(spark: Any, tmp_path: Path) -> None:
    moment = dt.datetime(2001, 2, 3, 4, 5, 6, 789000, tzinfo=dt.UTC)
    table = pa.table({
        "id": pa.array([1, 2, 3], pa.int64()), "phone.`no`": [3865286.0, None, float("nan")], "share": [0.1, 1e22, float("nan")],
        "born": pa.array([dt.date(1970, 1, 2), None, dt.date(1, 1, 1)]),
        "seen": pa.array([moment, None, moment], pa.timestamp("ms", "UTC")),
        "plain": pa.array([moment.replace(tzinfo=None)] * 3, pa.timestamp("us")), "yes": [True, False, None], "name": ["Ada", "", None],
        "kind": pa.array(["a", None, "b"]).dictionary_encode(), "small": pa.array([1.5, 2.0, None], pa.float32()),
    })  # fmt: skip
    names = table.column_names
    path = tmp_path / "typed.parquet"
    pq.write_table(table, path)
    assert _records(spark, path, names).toArrow().select(names).to_pylist() == read_columns(path, names).to_pylist()
    folder = tmp_path / "typed"
    plain = [name for name in names if name not in ("plain", "kind", "phone.`no`")]
    write_deltalake(folder, table.select(plain))
    assert _records(spark, folder, plain).toArrow().select(plain).to_pylist() == read_columns(folder, plain).to_pylist()


def test_where_spark_dies_the_error_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr("spine.matching.spark.match_on_spark", die)
    with pytest.raises(JobFailed, match="SPINE_SPARK_MEMORY"):
        run("spark")


def test_sources_whose_columns_are_mapped(run: Run, tmp_path: Path) -> None:
    from spine.matching.sources import Stated, mapped

    run("local")  # writes people.csv
    rows = [row for row in people() if row[0].startswith("c")]
    table = pa.table({"key": [row[0][1:] for row in rows], "Vorname": [row[2] for row in rows], "Nachname": [row[3] for row in rows],
                      "E-Mail": [row[4] for row in rows]})  # fmt: skip
    pq.write_table(table, tmp_path / "erp.parquet")
    records, rules = mapped([tmp_path / "people.csv", tmp_path / "erp.parquet"], "person", Stated())
    for engine in ("local", "spark"):
        match_records(MatchRequest(records, rules, tmp_path / f"{engine}.csv", tmp_path / f"{engine}.pairs.csv", engine=engine))  # type: ignore[arg-type]
    same(tmp_path)
    assert (tmp_path / "spark.csv").read_text().startswith("source,record_id,cluster_id,confidence\nerp,000,")
    assert not list(tmp_path.glob(".spark.csv*")), "what was written for Spark is gone"
