"""Every word that a source's file may say is read by some code, and what the declared files say is read by their own reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spine.core.declarations import Strict
from spine.http.paging import Paging
from spine.sources import check, database, files, imap, lake, mongodb, rest, singer
from spine.sources.check import unread_places
from spine.sources.custom import hubspot, salesforce
from spine.sources.spec import Cursor, Deletes, Source, Stream, load_source, source_names

READERS = (rest, files, database, singer, mongodb, imap, lake, hubspot, salesforce)
PARTS: dict[str, type[Strict]] = {"cursor": Cursor, "paging": Paging, "deletes": Deletes}
SHARED = ("reading.py", "rest/requester.py", "rest/shaping.py", "spec/streams.py")  # what several readers leave to them
SPINE = Path(check.__file__).parents[1]


@pytest.mark.parametrize("name", source_names())
def test_a_declared_file_says_nothing_that_nobody_reads(name: str) -> None:
    assert unread_places(load_source(name)) == []


def words_of_a_stream() -> Iterator[str]:
    for name in Stream.model_fields:
        inner = [word for word in PARTS[name].model_fields if word != "type"] if name in PARTS else []
        yield from [f"{name}.{word}" for word in inner] or [name]


def test_every_word_of_a_stream_has_a_reader() -> None:
    read = check.STREAM_WORDS.union(check.CALLED_WORDS, *(reader.READS for reader in READERS))
    assert [word for word in words_of_a_stream() if word not in read and word.partition(".")[0] not in read] == []


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_a_reader_reads_what_it_lists(reader: object) -> None:
    own = Path(str(reader.__file__))
    files = own.parent.glob("*.py") if own.stem == "__init__" else [own]
    text = "".join(file.read_text(encoding="utf-8") for file in [*files, *(SPINE / "sources" / path for path in SHARED)])
    unread = [word for word in reader.READS if f"stream.{word}" not in text and f".{word.rpartition('.')[2]}" not in text]
    assert unread == []


def test_every_word_of_a_source_is_read_somewhere() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SPINE.rglob("*.py") if path.name != "spec.py")
    code += (SPINE / "sources" / "spec" / "source.py").read_text(encoding="utf-8").replace("self.", "source.")
    assert [word for word in Source.model_fields if f"source.{word}" not in code] == []
    assert load_source("hubspot").model_copy(update={"schedule": "5 * * * *"}).cron == "5 * * * *"


def test_what_a_folder_of_files_cannot_use_is_told() -> None:
    source = load_source("people_files")
    stream = source.stream("people")
    said = Source.model_validate(
        source.model_dump(exclude_unset=True, by_alias=True)
        | {"auth": {"type": "bearer"}, "streams": [stream.model_dump(exclude_unset=True, by_alias=True) | {"object": "X"}]}
    )
    assert unread_places(said) == [("auth",), ("streams", 0, "object")]
