"""The report page: it loads nothing, escapes everything, fits a phone, and says what the arrays say."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.matching import Conflict, Matched, match, threshold_weight
from spine.matching.report import percent, signed, write_report
from spine.matching.report_data import Facts, bands, cut, histogram, of_matched

EVIL = "<script>alert(1)</script>"
QUOTE = "\"'><img src=x onerror=alert(2)>"
ARABIC, EMOJI = "محمد", "👩‍👩‍👧 Zoë"
LONG = "Wilhelmina " * 20_000
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
VOID = {"meta", "link", "br"}
ATTRIBUTES = {"given": "forename", "family": "surname", "mail": "email", "born": "date", "town": "city"}


def people() -> list[dict[str, str | None]]:
    """Sixty strangers, each third of them twice; and records whose values want to break a page."""
    given = ["Anna", "Bruno", "Chiara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katia", "Lars"]
    family = ["Abel", "Brandt", "Costa", "Dubois", "Ekman", "Ferrari", "Gruber", "Haas", "Iversen", "Jansen"]
    rows: list[dict[str, str | None]] = []
    for number in range(60):
        row: dict[str, str | None] = {
            "id": f"r{number:03}", "given": given[number % 12], "family": family[(number * 7) % 10], "mail": f"p{number}@firm{number}.com",
            "born": f"19{40 + number % 50}-0{1 + number % 9}-{10 + number % 18}", "town": ("Berlin", "Oslo")[number % 2],
        }  # fmt: skip
        rows.append(row)
        if number % 3 == 0:
            rows.append(row | {"id": f"d{number:03}", "born": None, "town": None if number % 2 else row["town"]})
    for place, name in enumerate((EVIL, QUOTE, ARABIC, EMOJI, LONG)):
        shared = {"given": "Ada", "family": name, "mail": f"odd{place}@x.org", "born": f"1970-01-1{place}", "town": name}
        rows += [shared | {"id": f"{name[:40]}-{side}"} for side in "ab"]
    return rows


@pytest.fixture(scope="module")
def run() -> tuple[Matched, pa.Array]:
    table = pa.Table.from_pylist(people())
    records = engine.prepare(table, engine.make_plan(Matching(attributes=ATTRIBUTES)))
    matched = match(records, 0.85)
    conflict = [Conflict(0, (2, 3), f"IDENTITY_CONFLICT: {EVIL}"), Conflict(0, (4,), f"IDENTITY_CONFLICT: {EVIL}")]
    return dataclasses.replace(matched, conflicts=conflict), table["id"].combine_chunks()


@pytest.fixture(scope="module")
def facts(run: tuple[Matched, pa.Array]) -> Facts:
    return of_matched(*run, title="t", plan_text="", clusters=None, seconds=None, threshold=0.85)


@pytest.fixture(scope="module")
def page(run: tuple[Matched, pa.Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "made" / "report.html"
    write_report(path, *run, title=f"people {EVIL}", plan_text=f"rules {EVIL}", clusters=None, seconds=1.5, threshold=0.85)
    return path


class Reader(HTMLParser):
    """Collects elements, attributes and text, and checks that elements are closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    return Reader(page.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_loads_nothing(page: Path, read: Reader) -> None:
    assert read.open == []
    assert {"script", "img", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in read.seen)
    urls = [value for _, attributes in read.seen for name, value in attributes.items() if name in ("src", "href", "action", "style")]
    assert not [url for url in urls if "//" in str(url) or "url(" in str(url)]
    assert not re.search(r"@import|url\(|https?://", page.read_text(encoding="utf-8"))
    assert [found for found in page.parent.iterdir()] == [page], "no partial file is left"


def test_hostile_values_stay_text(page: Path, read: Reader) -> None:
    assert EVIL not in page.read_text(encoding="utf-8")
    assert not [name for _, attributes in read.seen for name in attributes if name.startswith("on")]
    text = "".join(read.text)
    assert f"people {EVIL}" in text
    assert f"rules {EVIL}" in text
    assert f"IDENTITY_CONFLICT: {EVIL}" in text


def test_long_values_are_cut_and_the_page_stays_small(page: Path, read: Reader) -> None:
    assert page.stat().st_size < 1_000_000
    assert max(len(line) for line in read.text if "ilhelmina" in line) <= 160
    assert any(line.endswith("…") for line in read.text)


def test_scripts_of_other_directions_and_emoji_are_kept_and_isolated(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    assert f'<bdi dir="auto">{ARABIC}-a</bdi>' in content
    assert f'<bdi dir="auto">{EMOJI}-a</bdi>' in content


def test_headline_numbers_are_those_of_the_clusters(run: tuple[Matched, pa.Array], facts: Facts) -> None:
    matched, _ = run
    assert facts.records == matched.records.rows == sum(size * count for size, count in facts.sizes)
    assert facts.entities == len(np.unique(matched.label))
    assert facts.linked + facts.apart == int((matched.scored.probability >= 0.85).sum())
    assert sum(facts.histogram[2]) == len(matched.scored.weight)
    assert facts.conflict_count == 2
    assert [(reason.pairs, reason.records) for reason in facts.conflicts] == [(2, [("r000", ["r001", "r002", "r003"], 3)])]


def test_every_waterfall_adds_up_to_its_weight(facts: Facts) -> None:
    assert len(facts.surest) == 10
    for pair in (*facts.surest, *facts.doubtful):
        assert sum(step["weight"] + step["tf_adjustment"] for step in pair.steps) == pytest.approx(pair.weight, abs=0.02)


def test_surest_and_doubtful_pairs_are_in_order(run: tuple[Matched, pa.Array], facts: Facts) -> None:
    weights = [pair.weight for pair in facts.surest]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == run[0].scored.weight.max()
    distances = [abs(pair.weight - threshold_weight(0.85)) for pair in facts.doubtful]
    assert distances == sorted(distances)
    records = [record for pair in facts.surest for record in (pair.left, pair.right)]
    assert len(records) == len(set(records)), "one pair of each entity"


def test_largest_entities_name_their_records(run: tuple[Matched, pa.Array]) -> None:
    matched, ids = run
    names = pa.array([f"entity {label}" for label in matched.label.tolist()])
    groups = of_matched(matched, ids, title="t", plan_text="", clusters=names, seconds=None, threshold=0.85).largest
    assert groups
    for group in groups:
        rows = np.flatnonzero(matched.label == int(group.name.removeprefix("entity ")))
        assert group.size == len(rows)
        assert [member.record for member in group.members] == [cut(ids[row].as_py(), 80) for row in rows.tolist()]


def test_weights_show_log2_of_m_over_u(facts: Facts) -> None:
    for _, levels in facts.weights:
        assert sum(level.m for level in levels) == pytest.approx(1)
        for level in levels:
            assert level.weight == pytest.approx(np.log2(level.m / level.u), abs=1e-6)


@pytest.mark.parametrize("rows", [people()[:1], [people()[0], people()[8]]], ids=["one record", "two strangers"])
def test_a_run_without_pairs_has_a_page(rows: list[dict[str, str | None]], tmp_path: Path) -> None:
    schema = pa.schema([(name, pa.string()) for name in ("id", *ATTRIBUTES)])
    table = pa.Table.from_pylist(rows, schema)
    matched = match(engine.prepare(table, engine.make_plan(Matching(attributes=ATTRIBUTES))), 0.85)
    write_report(tmp_path / "r.html", matched, table["id"], title="nothing")
    assert "No two records are likely to be the same." in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_million_records_take_less_than_two_seconds(run: tuple[Matched, pa.Array], tmp_path: Path) -> None:
    matched, _ = run
    times = 1_000_000 // matched.records.rows + 1

    def shifted(rows: Any) -> Any:
        return np.tile(rows, times) + np.repeat(np.arange(times) * matched.records.rows, len(rows))

    features = {name: (np.tile(codes, times), values) for name, (codes, values) in matched.records.features.items()}
    rows = matched.records.rows * times
    records = dataclasses.replace(matched.records, rows=rows, features=features, source=np.tile(matched.records.source, times))
    taken = np.tile(np.arange(len(matched.found.left)), times)
    found = dataclasses.replace(matched.found.take(taken), left=shifted(matched.found.left), right=shifted(matched.found.right))
    large = dataclasses.replace(
        matched, records=records, found=found, scored=matched.scored.take(taken), label=shifted(matched.label),
        confidence=np.tile(matched.confidence, times), conflicts=matched.conflicts * 50_000,
    )  # fmt: skip
    ids = pa.array(np.arange(rows)).cast(pa.string())
    started = time.process_time()
    write_report(tmp_path / "r.html", large, ids, title="large")
    assert time.process_time() - started < 2
    assert (tmp_path / "r.html").stat().st_size < 1_000_000


@given(st.lists(st.floats(-60, 200, allow_nan=False), max_size=200), st.floats(0.5, 0.999))
def test_the_histogram_counts_every_pair_on_its_side_of_the_threshold(weights: list[float], threshold: float) -> None:
    limit = threshold_weight(threshold)
    start, width, counts = histogram(np.asarray(weights), limit)
    assert sum(counts) == len(weights)
    above = sum(count for place, count in enumerate(counts) if start + place * width >= limit - 1e-6)
    surely = sum(weight >= limit for weight in weights)
    assert surely <= above <= surely + sum(limit - 1e-6 < weight < limit for weight in weights)


def test_bands_hold_certain_pairs_too() -> None:
    assert [(low, pairs) for low, _, pairs, _ in bands(np.asarray([0.5, 0.85, 0.95, 0.99, 1.0]))] == [(0.85, 1), (0.95, 1), (0.99, 2)]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (1, "100"), (0.99999, "> 99.9"), (0.716, "71.6"), (0.05, "5"), (0.00001234, "0.0012"), (0.9994, "99.9"), (0.85, "85")],
)
def test_percentages_keep_small_shares_and_never_round_up_to_certainty(share: float, text: str) -> None:
    assert percent(share) == f"{text}\u202f%"


def test_weights_carry_their_sign() -> None:
    assert [signed(weight) for weight in (3.14, -2.71, 0.0, -0.01)] == ["+3.1", "\u22122.7", "0", "0"]


@pytest.fixture
def browse(page: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a script inside the page, shown that many pixels wide in Chromium; gives what the script calls `tell` with."""

    def browse(width: int, script: str, guarded: bool = False) -> str:
        if CHROMIUM is None:
            pytest.skip("no Chromium on this machine")
        content = page.read_text(encoding="utf-8").replace(
            "</body>", f"<script>const tell = x => parent.document.title = x; {script}</script>"
        )
        if not guarded:
            content = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", content)
        outer = tmp_path / "outer.html"
        outer.write_text(f'<title>silent</title><iframe width="{width}" height="900" frameborder="0" srcdoc="{escape(content)}"></iframe>')
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'user'}",
                   "--dump-dom", outer.as_uri()]  # fmt: skip
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return re.findall(r"<title>(.*?)</title>", shown)[0]

    return browse


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_window(browse: Callable[..., str], width: int) -> None:
    script = """
      for (const part of document.querySelectorAll("details")) part.open = true;
      const wide = document.documentElement.clientWidth;
      const all = [...document.querySelectorAll("body *")].filter(each => !each.closest("svg, thead, pre"));
      const out = all.filter(each => each.getBoundingClientRect().right > wide + 1);
      tell(`${wide} ${document.documentElement.scrollWidth} ${out.map(each => each.className || each.tagName)}`);
    """
    assert browse(width, script).split(" ") == [str(width), str(width), ""]


@pytest.mark.slow
def test_the_page_lets_no_script_run(browse: Callable[..., str]) -> None:
    assert browse(800, 'tell("ran")') == "ran"
    assert browse(800, 'tell("ran")', guarded=True) == "silent"
