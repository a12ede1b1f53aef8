"""Whatever is thrown at a parser of foreign input, it ends soon, in a value or in one of our own errors.

`SPINE_FUZZ_SECONDS` is the time of each target (2 by default; 120 for a night). What is found is kept by hypothesis and tried first.
"""

from __future__ import annotations

import gzip
import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.core import clock, jsontext
from spine.core.bounds import Bounds
from spine.core.choices import parse_cut, parse_level
from spine.core.declarations import load_declaration
from spine.core.entities import Entity
from spine.core.errors import SpineError
from spine.core.settings import settings as spine_settings
from spine.http import links
from spine.http.limits import wait_of
from spine.http.words import said
from spine.sources.formats import rows_of
from spine.sources.reading import cursor_text, lookup, make_record
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Source, load_source

BUDGET = float(os.environ.get("SPINE_FUZZ_SECONDS", "2"))
ROUND = 300  # inputs; rounds follow one another while there is time
LONGEST = 5.0  # seconds of one input, on a machine that does other things too
STREAM = load_source("people_files").stream("people")
BOUNDS = Bounds(row=2000, file=1 << 20, columns=50, small=1 << 16)
FOLDERS = (spine_settings().sources, spine_settings().entities)
DECLARED = [path.read_text() for folder in FOLDERS for path in sorted(folder.glob("*.yaml"))]

pytestmark = pytest.mark.slow


def rows(content: bytes, name: str) -> None:
    for row in rows_of(io.BytesIO(content), name, lambda text: None, BOUNDS):
        orjson.dumps(row.line)


def packed(content: bytes, cut: int, flip: int) -> bytes:
    """A gzip, torn and with a byte changed."""
    torn = bytearray(gzip.compress(content)[: cut or None])
    if torn and flip:
        torn[flip % len(torn)] ^= 0xFF
    return bytes(torn)


def reading_gzip(given_: tuple[bytes, int, int]) -> None:
    with suppress(OSError):  # a torn archive is tried again
        rows(packed(*given_), "x.csv.gz")


def record(value: Any) -> None:
    made = make_record(STREAM, value, cursor=None)
    orjson.loads(made.payload)


def from_manifest(text: str) -> None:
    from spine.sources.files import _manifest

    _manifest(text)


def declaration(model: type) -> Callable[[bytes], None]:
    def load(content: bytes) -> None:
        path = Path(os.environ["SPINE_FUZZ_FILE"])
        path.write_bytes(content)
        load_declaration(path, model)

    return load


@st.composite
def changed(draw: st.DrawFn, texts: list[str]) -> bytes:
    """A declaration of ours with some pieces replaced, doubled or moved."""
    content = draw(st.sampled_from(texts)).encode()
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        told = st.sampled_from([b"&a [", b"*a", b"{", b"- ", b"\t"])
        piece = draw(st.one_of(st.binary(max_size=20), st.just(content[start : start + 50]), told))
        content = content[:start] + piece + content[min(end, start + 60) :]
    return content


TEXT = st.text(max_size=200)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=30,
)
CSV = st.lists(st.text(alphabet='",;\t|\n\r\x00 a1é.=\ufeff', max_size=60), max_size=20).map("\n".join)
NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,25})?\Z")
ISO = st.from_regex(r"\A[0-9]{1,6}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]{0,20}\Z")
TIMES = st.one_of(TEXT, NUMBERS, ISO, st.datetimes().map(str), st.integers(), st.floats())
HEADER = st.one_of(TEXT, st.text(alphabet='<>;,="\\ relnxt1 \t', max_size=300))
LIMIT = st.one_of(TEXT, NUMBERS, st.sampled_from(["inf", "-inf", "nan", "1e999", "Thu, 99 Jan 99999 00:00:00 GMT"]), HEADER)
ODATA = st.builds(
    lambda name, rows, link: {"value": rows, "records": rows, "results": rows, "@odata.nextLink": link, "nextRecordsUrl": link, name: rows},
    TEXT, JSON, JSON,
)  # fmt: skip

LEVEL = st.from_regex(r"\A(edits|words|prefix|same) ?(<=|>=)? ?[0-9.]{1,12}\Z")


def sent(value: Any) -> bytes:
    return jsontext.as_sent(value).encode()


def lines(values: list[Any]) -> bytes:
    return b"\n".join(map(sent, values))


def answer(body: dict[str, Any]) -> None:
    said_empty(body, "value.records")
    records_of(STREAM, body.get("value"))


def wait(text: str) -> None:
    seconds = wait_of({"Retry-After": text, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text, "RateLimit": text})
    assert seconds is None or 0 <= seconds <= 86_400


BINARY = st.binary(max_size=300)
SENT = JSON.map(sent)
TARGETS: dict[str, tuple[Callable[[Any], object], st.SearchStrategy[Any]]] = {
    "CSV": (lambda content: rows(content, "x.csv"), st.one_of(BINARY, CSV.map(str.encode))),
    "CSV in UTF-16": (lambda text: rows(text.encode("utf-16"), "x.tsv"), CSV),
    "JSON Lines": (lambda content: rows(content, "x.jsonl"), st.one_of(BINARY, st.lists(JSON, max_size=4).map(lines))),
    "gzip": (reading_gzip, st.tuples(CSV.map(str.encode), st.integers(0, 60), st.integers(0, 60))),
    "gzip of anything": (lambda content: reading_gzip((content, 0, 0)), BINARY),
    "Parquet": (lambda content: rows(b"PAR1" + content + b"PAR1", "x.parquet"), BINARY),
    "JSON": (jsontext.parse, st.one_of(BINARY, NUMBERS.map(str.encode), SENT)),
    "record": (record, st.one_of(JSON, NUMBERS.map(lambda text: {"employee_id": jsontext.parse(b"[" + text.encode() + b"]")}))),
    "path": (lambda given_: lookup(*given_), st.tuples(JSON, st.text(alphabet="ab.'\"[]", max_size=20))),
    "cursor": (cursor_text, TIMES),
    "time": (lambda value: clock.parse(str(value)), TIMES),
    "cursor of files": (from_manifest, st.one_of(TEXT, JSON.map(jsontext.as_sent))),
    "Link": (lambda text: links.target(text, "next"), HEADER),
    "Retry-After": (wait, LIMIT),
    "words of a vendor": (lambda body: said(body, ["s"]), st.one_of(BINARY, SENT)),
    "answer of a vendor": (answer, ODATA),
    "entity": (declaration(Entity), changed(DECLARED)),
    "source": (declaration(Source), changed(DECLARED)),
    "YAML": (declaration(Entity), BINARY),
    "cut": (lambda text: parse_cut(text, "surname"), TEXT),
    "level": (lambda text: parse_level(text, "surname"), st.one_of(TEXT, LEVEL)),
}
SAID = {"cut", "level", "JSON"}  # their callers turn a ValueError into a mistake with file and line, or into a bad row


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_ends_in_a_value_or_in_our_own_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINE_FUZZ_FILE", str(tmp_path / "thing.yaml"))
    parser, values = TARGETS[name]
    ends = time.monotonic() + BUDGET

    @settings(max_examples=ROUND, deadline=None, suppress_health_check=list(HealthCheck))
    @given(values)
    def thrown(value: Any) -> None:
        if time.monotonic() > ends:
            return
        begun = time.thread_time()
        try:
            parser(value)
        except SpineError:
            pass
        except ValueError:
            if name not in SAID:
                raise
        assert time.thread_time() - begun < LONGEST

    thrown()
    while time.monotonic() < ends:
        thrown()
