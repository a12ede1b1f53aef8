"""IDocs in a folder, as SAP's port of XML files writes them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import orjson

from spine.core import clock
from spine.sources.drops import Folder
from spine.sources.files import Reader
from spine.sources.reading import Record, State, Window
from spine.sources.spec import load_source

PROVES = "files as SAP writes them"


def idoc(number: int, *lines: str) -> str:
    control = (
        f'<EDI_DC40 SEGMENT="1"><TABNAM>EDI_DC40</TABNAM><MANDT>100</MANDT><DOCNUM>{number:016}</DOCNUM><MESTYP>ORDERS</MESTYP></EDI_DC40>'
    )
    items = "".join(f'<E1EDP01 SEGMENT="1"><POSEX>{line}</POSEX></E1EDP01>' for line in lines)
    return f'<IDOC BEGIN="1">{control}<E1EDK01 SEGMENT="1"><CURCY>EUR</CURCY><BELNR>45000{number}</BELNR></E1EDK01>{items}</IDOC>'


def written(folder: Path, name: str, *idocs: str) -> None:
    (folder / name).write_text(f'<?xml version="1.0" encoding="utf-8"?><ORDERS05>{"".join(idocs)}</ORDERS05>')


def reading(name: str, folder: Path) -> list[Record]:
    """What a run reads of the folder."""
    source = load_source(name)
    pages = Reader(source, Folder(str(folder), {})).read(
        source.streams[0], State(), Window(end=clock.now() + timedelta(hours=1), full=True)
    )
    return [record for page in pages for record in page.records]


def test_files_of_one_idoc_and_of_several_are_read(tmp_path: Path) -> None:
    written(tmp_path, "one.xml", idoc(1, "10", "20"))
    written(tmp_path, "two.xml", idoc(2, "10"), idoc(3))
    (tmp_path / "notes.txt").write_text("not an IDoc")
    found = {record.record_id: orjson.loads(record.payload) for record in reading("sap_idoc", tmp_path)}
    assert list(found) == [f"100|{number:016}" for number in (1, 2, 3)]
    assert [line["POSEX"] for line in found[f"100|{1:016}"]["E1EDP01"]] == ["10", "20"]
    assert found[f"100|{2:016}"]["E1EDK01"]["CURCY"] == "EUR"


def test_a_torn_file_costs_no_other(tmp_path: Path) -> None:
    written(tmp_path, "a.xml", idoc(1))
    (tmp_path / "b.xml").write_text('<?xml version="1.0"?><ORDERS05><IDOC BEGIN="1"><EDI_DC40>')
    written(tmp_path, "c.xml", idoc(2))
    ids = [record.record_id for record in reading("sap_idoc", tmp_path)]
    assert {f"100|{1:016}", f"100|{2:016}"} <= set(ids)
