"""Several files as sources: each with its own format, header and ids; what the result says of them, and which mixtures are refused."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spine.core.errors import ConfigError, NothingToMatch, SpineError
from spine.matching.files import read_columns
from spine.matching.request import MatchRequest
from spine.matching.run import explain_plan, match_records
from spine.matching.sources import Stated, mapped

GIVEN = ["Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Kenneth", "Margaret", "Dennis", "Radia", "Tony"]
FAMILY = ["Lovelace", "Turing", "Hopper", "Dijkstra", "Liskov", "Knuth", "Allen", "Iverson", "Hamilton", "Ritchie", "Perlman"]
PEOPLE = [(GIVEN[at % 12], FAMILY[at % 11] + "abcdefghij"[at // 11 % 10], f"+1 555 01{at:02}00", f"19{at % 60 + 20}-01-{at % 28 + 1:02}")
          for at in range(60)]  # fmt: skip
NOTHING = Stated()
Run = Callable[..., dict[str, Any]]


def mail(at: int) -> str:
    return f"{PEOPLE[at][0]}.{PEOPLE[at][1]}@wexford-mills.com".lower()


def rows_of_crm() -> list[list[str]]:
    return [["Id", "FirstName", "LastName", "Email", "Birthdate", "Owner"], *([str(at), one[0], one[1], mail(at), one[3], "x"]
            for at, one in enumerate(PEOPLE))]  # fmt: skip


def written(rows: Sequence[Sequence[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files of the same people, whose ids are the same numbers: `crm.csv` and `erp.parquet`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crm.csv").write_bytes(written(rows_of_crm()))
    given, family, phone, born = zip(*PEOPLE, strict=True)
    erp = {"KUNNR": list(range(60)), "Vorname": given, "Name": family, "Geburtsdatum": born, "Telefon": phone,
           "Mail": [mail(at) for at in range(60)]}  # fmt: skip
    pq.write_table(pa.table(erp), "erp.parquet")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def matched(*names: str, entity: str = "person", stated: Stated = NOTHING, **more: Any) -> dict[str, Any]:
        records, rules = mapped([Path(name) for name in names], entity, stated)
        return match_records(MatchRequest(records, rules, Path("clusters.csv"), **more))

    return matched


def groups() -> set[frozenset[str]]:
    table = read_columns(Path("clusters.csv"), ["source", "record_id", "cluster_id"])
    found: dict[str, set[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["cluster_id"], set()).add(f"{row['source']}/{row['record_id']}")
    return {frozenset(members) for members in found.values()}


PAIRS = {frozenset({f"crm/{at}", f"erp/{at}"}) for at in range(60)}


class TestResult:
    """Where each record is from, under its own id."""

    def test_ids_are_those_of_their_source(self, run: Run) -> None:
        result = run("crm.csv", "erp.parquet", matches=Path("pairs.csv"))
        assert groups() == PAIRS
        pairs = read_columns(Path("pairs.csv"), ["left_source", "left_id", "right_source", "right_id"]).to_pylist()
        assert {(row["left_source"], row["right_source"]) for row in pairs} == {("crm", "erp")}
        assert all(row["left_id"] == row["right_id"] for row in pairs)
        crm, erp = result["sources"]
        assert crm["columns"] == {"given_name": "FirstName", "family_name": "LastName", "email": "Email", "birth_date": "Birthdate"}
        assert (crm["record_id"], crm["unused"], erp["record_id"]) == ("Id", ["Owner"], "KUNNR")
        assert erp["columns"]["family_name"] == "Name", "a name beside a forename is a surname"

    def test_one_declared_file_has_no_column_for_its_source(self, run: Run) -> None:
        run("crm.csv")
        assert Path("clusters.csv").read_text().splitlines()[0] == "record_id,cluster_id,confidence"

    def test_the_order_of_files_changes_nothing(self, run: Run) -> None:
        run("crm.csv", "erp.parquet")
        first = Path("clusters.csv").read_bytes()
        run("erp.parquet", "crm.csv")
        assert Path("clusters.csv").read_bytes() == first

    def test_duplicates_within_a_source_are_found_too(self, run: Run, folder: Path) -> None:
        rows = rows_of_crm()
        Path("crm.csv").write_bytes(written([*rows, ["again", *rows[1][1:]]]))
        run("crm.csv", "erp.parquet")
        assert frozenset({"crm/0", "crm/again", "erp/0"}) in groups()

    def test_the_report_and_the_plan(self, run: Run, folder: Path) -> None:
        run("crm.csv", "erp.parquet", report=Path("report.html"))
        page = Path("report.html").read_text()
        assert "Person records of crm.csv and erp.parquet" in page
        assert "crm:0" in page
        assert "same email" in explain_plan(*mapped([Path("crm.csv"), Path("erp.parquet")], "person", Stated()))

    def test_labels_are_judged_by_in_the_report(self, run: Run) -> None:
        rows = [["source", "record_id", "entity"], *([source, str(at), str(at)] for source in ("crm", "erp") for at in range(60))]
        Path("truth.csv").write_bytes(written(rows))
        run("crm.csv", "erp.parquet", report=Path("report.html"), labels=Path("truth.csv"))
        page = Path("report.html").read_text()
        assert '60 likely pairs judged by <bdi dir="auto">truth.csv</bdi>' in page
        assert "Of the known pairs in one entity 100" in page
        assert "<h2>What it could not do" in page

    def test_labels_that_are_none_leave_nothing(self, run: Run) -> None:
        Path("truth.csv").write_text("source,record_id,entity\nweb,1,x\n")
        with pytest.raises(ConfigError, match=r"no record of truth\.csv is among those matched"):
            run("crm.csv", "erp.parquet", report=Path("report.html"), labels=Path("truth.csv"))
        assert not Path("clusters.csv").exists()
        with pytest.raises(ConfigError, match="--labels needs --report"):
            run("crm.csv", "erp.parquet", labels=Path("truth.csv"))

    def test_what_only_one_source_knows_is_told_where_it_could_not_help(self, run: Run) -> None:
        line = "phone was hardly ever comparable: only erp has values"
        assert line not in run("crm.csv", "erp.parquet")["could_not"], "two records of one source can be compared by it"
        attributes = "{n: forename, l: surname, email: email, phone: phone}"
        Path("rules.yaml").write_text(f"entity: person\nrecord_id: Id\nsource: x\nlink: across_sources\nattributes: {attributes}\n")
        assert line in run("crm.csv", "erp.parquet", entity="rules.yaml")["could_not"]


class TestFormats:
    """What a file may be, beside a CSV."""

    @pytest.mark.parametrize(
        ("name", "pack"),
        [
            pytest.param("crm.csv", bytes, id="plain"),
            pytest.param("crm.csv.gz", gzip.compress, id="gzip"),
            pytest.param("crm.tsv.bz2", bz2.compress, id="bzip2"),
            pytest.param("crm.csv.xz", lzma.compress, id="xz"),
            pytest.param("crm.csv.zst", lambda body: pa.compress(body, "zstd", asbytes=True), id="zstd"),
            pytest.param("crm.CSV", lambda body: b"sep=;\r\n" + body.replace(b",", b";"), id="semicolons, in capitals"),
            pytest.param("crm.csv", lambda body: body.decode().encode("utf-16"), id="UTF-16"),
        ],
    )
    def test_csv(self, run: Run, name: str, pack: Callable[[bytes], bytes]) -> None:
        body = written(rows_of_crm())
        Path("crm.csv").unlink()
        Path(name).write_bytes(pack(body))
        run(name, "erp.parquet")
        assert groups() == PAIRS

    @pytest.mark.parametrize("name", ["crm.jsonl", "crm.ndjson.gz", "crm.json"])
    def test_json(self, run: Run, name: str) -> None:
        found = [
            {"id": at, "name": {"first": one[0], "last": one[1]}, "email": mail(at), "born": one[3], "tags": ["a"], "note": None}
            for at, one in enumerate(PEOPLE)
        ]
        body = orjson.dumps(found) if name == "crm.json" else b"".join(orjson.dumps(row) + b"\n" for row in found)
        Path(name).write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
        result = run(name, "erp.parquet")
        assert groups() == PAIRS
        assert result["sources"][0]["columns"]["given_name"] == "name.first"

    def test_delta(self, run: Run) -> None:
        write_deltalake("crm", read_columns(Path("crm.csv"), ["Id", "FirstName", "LastName", "Email"]))
        run("crm", "erp.parquet")
        assert groups() == PAIRS

    def test_long_numbers_of_json_stay_as_they_are(self, run: Run) -> None:
        big = 2**70
        lines = [orjson.dumps({"first": one[0], "last": one[1], "email": mail(at)})[:-1] + b',"id":%d}' % (big + at)
                 for at, one in enumerate(PEOPLE)]  # fmt: skip
        Path("crm.jsonl").write_bytes(b"\n".join(lines))
        run("crm.jsonl", "erp.parquet")
        assert frozenset({f"crm/{big}", "erp/0"}) in groups()

    @pytest.mark.parametrize(
        ("name", "body", "part"),
        [
            ("crm.jsonl", b'{"id": 1}\n{"id": 2', r"crm.jsonl is not JSON \(line 2\)"),
            ("crm.jsonl", b'{"id": 1}\n[1, 2]\n', r"crm.jsonl has no object there \(line 2\)"),
            ("crm.json", b'[{"id": 1}, 7]', r"entry 2 of its array"),
            ("crm.csv.gz", gzip.compress(written(rows_of_crm()))[:-200], "crm.csv.gz cannot be decompressed"),
            ("crm.csv.gz", b"id,email\n1,a@b.org\n", "crm.csv.gz cannot be decompressed"),
            ("crm.csv.zst", b"id,email\n1,a@b.org\n", "crm.csv.zst cannot be decompressed"),
            ("crm.csv.xz", lzma.compress(written(rows_of_crm()))[:-100], "crm.csv.xz cannot be decompressed"),
            ("crm.bz2", b"x", "neither CSV nor JSON"),
        ],
    )
    def test_what_cannot_be_read_is_said(self, run: Run, name: str, body: bytes, part: str) -> None:
        Path(name).write_bytes(body)
        with pytest.raises(ConfigError, match=part):
            run(name, "erp.parquet")
        assert not Path("clusters.csv").exists()


class TestGoingOn:
    """Later runs from the clusters of several sources."""

    def test_ids_live_on_and_nothing_changed_is_free(self, run: Run) -> None:
        run("crm.csv", "erp.parquet")
        first = Path("clusters.csv").read_bytes()
        assert run("crm.csv", "erp.parquet", previous=Path("clusters.csv"))["no_op"]
        assert Path("clusters.csv").read_bytes() == first

    def test_a_source_that_comes_later_joins(self, run: Run) -> None:
        run("crm.csv", "erp.parquet")
        before = {row["cluster_id"] for row in read_columns(Path("clusters.csv"), ["cluster_id"]).to_pylist()}
        Path("web.jsonl").write_bytes(
            b"".join(orjson.dumps({"id": at, "email": mail(at), "last": PEOPLE[at][1]}) + b"\n" for at in range(9))
        )
        result = run("crm.csv", "erp.parquet", "web.jsonl", previous=Path("clusters.csv"))
        after = {row["cluster_id"] for row in read_columns(Path("clusters.csv"), ["cluster_id"]).to_pylist()}
        assert (result["records"], after) == (129, before)
        assert "joined" in result

    def test_one_record_changes(self, run: Run) -> None:
        run("crm.csv", "erp.parquet")
        rows = rows_of_crm()
        rows[1][1:5] = ["Zoe", "Unknown", "zoe@elsewhere.org", "2001-05-06"]
        Path("crm.csv").write_bytes(written(rows))
        result = run("crm.csv", "erp.parquet", previous=Path("clusters.csv"))
        assert "Compare what changed" in result["stages"]
        assert frozenset({"crm/0"}) in groups()
        assert read_columns(Path("clusters.csv.changes.csv"), ["source", "record_id"]).num_rows > 0


class TestNames:
    """What sources are called."""

    def test_two_files_of_one_stem(self, run: Run, folder: Path) -> None:
        (folder / "b").mkdir()
        (folder / "b" / "crm.csv").write_bytes(written(rows_of_crm()))
        with pytest.raises(ConfigError, match=r"two files are source crm: crm\.csv and b/crm\.csv.*--source OTHER=b/crm\.csv"):
            run("crm.csv", "b/crm.csv")
        run("crm.csv", stated=Stated(("other=b/crm.csv",)))
        assert frozenset({"crm/3", "other/3"}) in groups()

    def test_a_csv_and_a_parquet_of_one_stem(self, run: Run) -> None:
        pq.write_table(pq.read_table("erp.parquet"), "crm.parquet")
        with pytest.raises(ConfigError, match="two files are source crm"):
            run("crm.csv", "crm.parquet")

    @pytest.mark.parametrize(
        ("names", "stated", "part"),
        [
            (["crm.csv", "./crm.csv"], (), "crm.csv is there twice"),
            (["crm.csv"], ("x=crm.csv",), "crm.csv is there twice"),
            (["crm.csv"], ("erp.parquet",), "--source erp.parquet is no NAME=FILE"),
            (["crm.csv"], ("a:b=erp.parquet",), "is no NAME=FILE"),
            (["crm.csv", "none.csv"], (), "there is no file none.csv"),
        ],
    )
    def test_mistakes(self, run: Run, names: list[str], stated: tuple[str, ...], part: str) -> None:
        with pytest.raises(ConfigError, match=part):
            run(*names, stated=Stated(stated))


class TestColumns:
    """What is stated, and what nobody can guess."""

    def test_a_stated_column_stands_above_the_guess(self, run: Run) -> None:
        columns = ("crm.family_name=Owner", "erp.phone=", "crm.record_id=Email")
        result = run("crm.csv", "erp.parquet", stated=Stated(columns=columns))
        crm, erp = result["sources"]
        assert (crm["columns"]["family_name"], crm["record_id"]) == ("Owner", "Email")
        assert "phone" not in erp["columns"]

    def test_a_column_stated_for_every_source_holds_where_it_is(self, run: Run) -> None:
        result = run("crm.csv", "erp.parquet", stated=Stated(columns=("email=Mail",)))
        assert [source["columns"]["email"] for source in result["sources"]] == ["Email", "Mail"]

    def test_rules_of_a_file_are_mapped_too(self, run: Run) -> None:
        Path("rules.yaml").write_text("entity: person\nrecord_id: Id\nattributes: {FirstName: forename, LastName: surname, Email: email}\n")
        result = run("crm.csv", "erp.parquet", entity="rules.yaml")
        assert groups() == PAIRS
        assert result["sources"][1]["columns"] == {"FirstName": "Vorname", "LastName": "Name", "Email": "Mail"}

    def test_a_whole_name_meets_its_parts(self, run: Run) -> None:
        rows = [["id", "Full Name", "e-mail"], *([str(at), f"{one[0]} {one[1]}", mail(at)] for at, one in enumerate(PEOPLE))]
        Path("desk.csv").write_bytes(written(rows))
        result = run("desk.csv", "erp.parquet")
        assert frozenset({"desk/5", "erp/5"}) in groups()
        assert result["sources"][0]["columns"]["full_name"] == "Full Name"

    @pytest.mark.parametrize(
        ("content", "columns", "part"),
        [
            ("a,b\n1,2\n3,4\n", (), r"web.csv has no column that can be matched \(it has a, b\).*--column web\.given_name=COLUMN"),
            (
                "email,first\na@b.org,x\na@b.org,y\n",
                (),
                r"web.csv has no column of ids that differ in every row.*--column web\.record_id=COLUMN",
            ),
            ("id,email\n1,a@b.org\n1,b@b.org\n", ("web.record_id=id",), "id of web.csv is not unique: '1'"),
            ("id,email\n1,a@b.org\n,b@b.org\n", ("web.record_id=id",), "1 of 2 records of web.csv have no id"),
            ("id,email\n1,a@b.org\n", ("web.email=Mail",), "web.csv has no such column, did you mean"),
            ("id,email\n1,a@b.org\n", ("emial=x",), "--column emial=x names no attribute, did you mean 'email'"),
            ("id,email\n1,a@b.org\n", ("email=nowhere",), "--column email=nowhere: no source has such a column"),
            ("", (), "web.csv is empty"),
        ],
    )
    def test_mistakes(self, run: Run, content: str, columns: tuple[str, ...], part: str) -> None:
        Path("web.csv").write_text(content)
        with pytest.raises(ConfigError, match=part):
            run("crm.csv", "web.csv", stated=Stated(columns=columns))
        assert not Path("clusters.csv").exists()

    def test_a_file_of_empty_columns_is_said(self, run: Run) -> None:
        Path("web.csv").write_text("id,email,first\n1,,\n2,,\n")
        with pytest.raises(NothingToMatch, match=r"none of the 2 records of web\.csv has a value in "):
            run("crm.csv", "web.csv")

    def test_an_output_may_be_no_input(self, run: Run) -> None:
        records, rules = mapped([Path("crm.csv"), Path("erp.parquet")], "person", Stated())
        with pytest.raises(ConfigError, match="is named twice"):
            match_records(MatchRequest(records, rules, Path("crm.csv")))

    def test_an_entity_that_nobody_declared(self, run: Run) -> None:
        with pytest.raises(SpineError, match="no entity 'persons'"):
            run("crm.csv", "erp.parquet", entity="persons")
