"""Tables as files: what is read, what is refused and in which words, and that a file is never seen half written."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spine.core.errors import ConfigError
from spine.matching.files import read_columns, require_output, sample, write_table

COLUMNS = ["id", "name"]


def csv_file(tmp_path: Path, content: str | bytes, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class TestCsv:
    """What a CSV gives, however it is written."""

    @pytest.mark.parametrize(
        ("content", "names"),
        [
            pytest.param("id,name\n1,Ada\n2,Alan\n", ["Ada", "Alan"], id="plain"),
            pytest.param("\ufeffid,name\r\n1,Ada\r\n2,Alan", ["Ada", "Alan"], id="byte order mark, Windows lines, no last line end"),
            pytest.param("other, name ,id\nx,Ada,1\nx,Alan,2\n", ["Ada", "Alan"], id="other columns, spaces around names"),
            pytest.param('id,name\n1,"Ada, ""Countess""\nof Lovelace"\n2,Alan\n', ['Ada, "Countess"\nof Lovelace', "Alan"], id="quoted"),
            pytest.param("id;name\n1;Ada\n2;Alan\n", ["Ada", "Alan"], id="semicolons"),
            pytest.param("id\tname\n1\tAda\n2\tAlan\n", ["Ada", "Alan"], id="tabs"),
            pytest.param("id|name\n1|Ada\n2|Alan\n", ["Ada", "Alan"], id="bars"),
            pytest.param("sep=;\r\nid;name\r\n1;Ada\r\n2;Alan\r\n", ["Ada", "Alan"], id="a line that states the delimiter"),
            pytest.param("\ufeffSEP=,\nid,name\n1,Ada\n2,Alan\n", ["Ada", "Alan"], id="that line behind a byte order mark"),
            pytest.param("id,name\n1,Ädä\n2,Alan\n".encode("utf-16"), ["Ädä", "Alan"], id="UTF-16"),
            pytest.param("sep=;\r\nid;name\r\n1;Ada\r\n2;Alan\r\n".encode("utf-16-le"), ["Ada", "Alan"], id="UTF-16 without a mark"),
            pytest.param("id\u00a0,\u200bname\ufeff\n1,Ada\n2,Alan\n", ["Ada", "Alan"], id="what nobody sees around names"),
            pytest.param("id;name\n1;1.234,5\n2;7\n", ["1234.5", "7"], id="decimal commas"),
            pytest.param("id;name\n1;1.234,5\n2;Suite 7,5\n", ["1.234,5", "Suite 7,5"], id="commas in texts"),
            pytest.param("id,name\n1,\n2,NA\n", [None, "NA"], id="only an empty text is null: somebody is called Na"),
            pytest.param("id,name\n1,0012\n2,1.50\n", ["0012", "1.50"], id="numbers stay as they are written"),
            pytest.param("id,name\n1,Łukasz 🦊\n2,山田 太郎\n", ["Łukasz 🦊", "山田 太郎"], id="emoji and mixed scripts"),
            pytest.param("id,name\n\n1,Ada\n\n2,Alan\n", ["Ada", "Alan"], id="empty lines"),
            pytest.param('id,name\n1,12" disc\n2,Alan\n', ['12" disc', "Alan"], id="a quote inside a value"),
        ],
    )
    def test_values(self, tmp_path: Path, content: str | bytes, names: list[str | None]) -> None:
        table = read_columns(csv_file(tmp_path, content), COLUMNS)
        assert table.column_names == COLUMNS
        assert table.column("id").to_pylist() == ["1", "2"]
        assert table.column("name").to_pylist() == names

    def test_values_larger_than_a_block(self, tmp_path: Path) -> None:
        long = "x" * 200_000
        rows = "".join(f'{number},"{long}\n{number}"\n' for number in range(60))
        table = read_columns(csv_file(tmp_path, "id,name\n" + rows + f"60,{'y' * (9 << 20)}\n"), COLUMNS)
        assert table.num_rows == 61
        assert table.column("name")[59].as_py() == f"{long}\n59"
        assert len(table.column("name")[60].as_py()) == 9 << 20

    def test_gzip(self, tmp_path: Path) -> None:
        packed = csv_file(tmp_path, gzip.compress(b"id,name\n1,Ada\n"), "people.csv.gz")
        assert read_columns(packed, COLUMNS).to_pylist() == [{"id": "1", "name": "Ada"}]

    @pytest.mark.parametrize("content", ["id,name\n", "id,name", "id,name\r\n\r\n"])
    def test_a_header_alone_is_no_record(self, tmp_path: Path, content: str) -> None:
        table = read_columns(csv_file(tmp_path, content), COLUMNS)
        assert (table.num_rows, table.column_names) == (0, COLUMNS)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param("", "is empty", id="no byte"),
            pytest.param("\n\n", "is empty", id="no header"),
            pytest.param("id,name,name\n1,a,b\n", "more than one column name", id="a column twice"),
            pytest.param("id,name\n1,Ada\n2,Alan,secret-value\n", "Row #3: Expected 2 columns, got 3", id="a torn row"),
            pytest.param('id,name\n1,"Ada\n2,secret-value\n', r"never closed \(line 2\)", id="an open quote"),
            pytest.param("id,name\n1,Ada\n2,J\xfcrgen\n".encode("latin-1"), r"not UTF-8 text \(line 3\)", id="Latin-1"),
            pytest.param("id,n\xe4me\n1,Ada\n".encode("latin-1"), r"not UTF-8 text \(line 1\)", id="Latin-1 header"),
            pytest.param('id,name\n1,"Ada\n2,Alan\n3,"Grace\n4,Tony\n', r"neither closed nor doubled \(line 2\)", id="two stray quotes"),
            pytest.param('sep=;\nid;name\n1;Ada\n2;"Alan" T\n', r"neither closed nor doubled \(line 4\)", id="letters behind a quote"),
            pytest.param("id,name,other,name\n1,a,b,c\n", r"more than one column name \(columns 2 and 4\)", id="both positions"),
        ],
    )
    def test_mistakes_say_what_and_where(self, tmp_path: Path, content: str | bytes, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as raised:
            read_columns(csv_file(tmp_path, content), COLUMNS)
        assert "people.csv" in raised.value.message
        assert "secret-value" not in raised.value.describe()
        assert raised.value.hint


class TestUnknown:
    """Names that are not there."""

    def test_a_column_that_is_not_there_names_those_that_are(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="has no column surnam") as raised:
            read_columns(csv_file(tmp_path, "ID,Surname,phone\n"), ["ID", "surnam"])
        assert raised.value.hint == "Did you mean Surname? It has ID, Surname, phone"

    def test_a_file_that_is_not_there_names_a_neighbour(self, tmp_path: Path) -> None:
        csv_file(tmp_path, "id\n")
        with pytest.raises(ConfigError, match="there is no file") as raised:
            read_columns(tmp_path / "peopel.csv", ["id"])
        assert raised.value.hint == "Is it people.csv?"

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no file"):
            read_columns(tmp_path / "none" / "people.csv", ["id"])

    def test_a_format_that_is_not_known(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="neither CSV nor JSON nor Parquet"):
            read_columns(csv_file(tmp_path, "x", "people.xlsx"), ["id"])

    def test_a_folder_that_is_no_delta_table(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not a Delta table"):
            read_columns(tmp_path, ["id"])

    def test_what_is_called_parquet_and_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not a Parquet file"):
            read_columns(csv_file(tmp_path, "id\n1\n", "people.parquet"), ["id"])


TYPED = pa.table({
    "number": pa.array([1, None], pa.int32()), "float": pa.array([3865286.0, None]), "share": pa.array([0.5, float("nan")]),
    "day": pa.array([dt.date(1980, 2, 29), None]), "coded": pa.array(["a", ""]).dictionary_encode(), "flag": pa.array([True, None]),
    "text": pa.array(["Ada", ""], pa.large_string()),
})  # fmt: skip
TEXTS = {
    "number": ["1", None], "float": ["3865286", None], "share": ["0.5", "nan"], "day": ["1980-02-29", None], "coded": ["a", None],
    "flag": ["true", None], "text": ["Ada", None],
}  # fmt: skip


def test_parquet_and_delta_give_texts_whatever_their_types(tmp_path: Path) -> None:
    pq.write_table(TYPED, tmp_path / "typed.parquet")
    write_deltalake(tmp_path / "typed", TYPED)
    for path in (tmp_path / "typed.parquet", tmp_path / "typed"):
        table = read_columns(path, list(TEXTS))
        assert set(table.schema.types) == {pa.string()}
        assert table.to_pydict() == TEXTS
        with pytest.raises(ConfigError, match="has no column tex"):
            read_columns(path, ["tex"])


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1"], "names": [["Ada", "Augusta"]]}), tmp_path / "lists.parquet")
    with pytest.raises(ConfigError, match=r"column names of .* holds list"):
        read_columns(tmp_path / "lists.parquet", ["id", "names"])


class TestOutputs:
    """Where results may go, and that they come whole."""

    @pytest.mark.parametrize("name", ["clusters", "clusters.xlsx", "none/clusters.csv", "folder.csv"])
    def test_places_that_cannot_be_written_are_refused_before_any_work(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(ConfigError) as raised:
            require_output(tmp_path / name)
        assert raised.value.hint

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    @pytest.mark.parametrize("texts", [["a", None], ['say "a", then\nb', "ü🦊"]])
    def test_what_is_written_is_read_back(self, tmp_path: Path, suffix: str, texts: list[str | None]) -> None:
        path = tmp_path / f"out.{suffix}"
        write_table(pa.table({"id": ["1", "2"], "name": pa.array(texts, pa.string()), "share": [0.25, 1.0]}), path)
        assert read_columns(path, COLUMNS).to_pydict() == {"id": ["1", "2"], "name": texts}
        assert [item.name for item in tmp_path.iterdir()] == [path.name]

    def test_plain_texts_are_written_without_quotes(self, tmp_path: Path) -> None:
        write_table(pa.table({"id": ["1"], "share": [0.25]}), tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_text() == "id,share\n1,0.25\n"

    def test_a_failure_leaves_the_former_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = csv_file(tmp_path, "former")
        with pytest.raises(pa.ArrowInvalid):
            write_table(pa.table({"id": ["1"], "lists": [["no", "CSV"]]}), path)
        assert path.read_text() == "former"
        assert list(tmp_path.iterdir()) == [path]

    def test_what_a_killed_process_left_is_swept_away(self, tmp_path: Path) -> None:
        path = csv_file(tmp_path, "former")
        code = (
            "import os, signal; from pathlib import Path; from spine.matching.files import replacing\n"
            f"with replacing(Path({str(path)!r})) as partial:\n    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
        )
        died = subprocess.run([sys.executable, "-c", code], check=False)
        assert died.returncode == -signal.SIGKILL
        assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("former", 2)
        alive = tmp_path / f".people.csv.{os.getppid()}.partial"
        alive.write_text("of another process")
        write_table(pa.table({"id": ["1"]}), path)
        assert {item.name for item in tmp_path.iterdir()} == {"people.csv", alive.name}


def test_a_limit_of_the_whole_process_is_as_it_was(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_text('id,name\n1,12" disc\n')
    usual = csv.field_size_limit()
    read_columns(path, ["id"])
    sample(path, 5)
    assert csv.field_size_limit() == usual
