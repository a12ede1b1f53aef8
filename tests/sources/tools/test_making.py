"""A new source's file is written in the style of the others, and is sound."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.sources.check import sound_source
from spine.sources.tools.making import make_source
from spine.sources.tools.writing import written_source


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sources"
    monkeypatch.setenv("SPINE_SOURCES", str(folder))
    return folder


def test_a_beginning_is_a_sound_file_whose_guesses_are_marked(sources: Path) -> None:
    made = make_source("acme")
    assert made.path == sources / "acme.yaml"
    assert (made.streams, made.test) == (("customers",), None)
    assert sound_source("acme").streams[0].cursor is not None
    assert made.path.read_text().count("# ?") == made.doubts == 3


def test_a_file_that_is_there_stays_unless_one_says_so(sources: Path) -> None:
    make_source("acme")
    with pytest.raises(ConfigError, match="there already"):
        make_source("acme")
    assert make_source("acme", force=True, domain="hr").doubts == 2
    assert sound_source("acme").domain == "hr"


def test_a_source_begins_as_another_one_with_its_remarks(sources: Path) -> None:
    first = make_source("acme").path
    first.write_text(first.read_text() + "# kept\n")
    assert make_source("acme_eu", like="acme").path.read_text() == first.read_text().replace("source: acme", "source: acme_eu")
    assert sound_source("acme_eu").source == "acme_eu"


def test_only_the_streams_that_are_asked_for_are_taken_with_their_parents(sources: Path, tmp_path: Path) -> None:
    asks = "{{type: HttpRequester, url_base: 'https://api.acme.example', path: {path}}}"
    parents = "[{stream: '#/streams/0', parent_key: id, partition_field: t}]"
    below = f"partition_router: {{type: SubstreamPartitionRouter, parent_stream_configs: {parents}}}"
    streams = [
        f"  - {{type: DeclarativeStream, name: {name}, primary_key: id, "
        f"retriever: {{requester: {asks.format(path=path)}, record_selector: {{}}, {more}}}}}"
        for name, path, more in (("teams", "teams", ""), ("members", "'teams/{{ stream_slice.t }}'", below), ("others", "others", ""))
    ]
    (tmp_path / "manifest.yaml").write_text("streams:\n" + "\n".join(streams))
    made = make_source("acme", manifest=tmp_path / "manifest.yaml", only=["members"])
    assert (made.streams, made.found) == (("teams", "members"), 3)
    with pytest.raises(ConfigError, match="no stream 'nobody'"):
        make_source("acme", manifest=tmp_path / "manifest.yaml", only=["nobody"], force=True)


def test_a_source_is_made_from_one_thing(sources: Path) -> None:
    with pytest.raises(ConfigError, match="one thing"):
        make_source("acme", like="acme", manifest=Path("m.yaml"))
    with pytest.raises(ConfigError, match="lower-case word"):
        make_source("Acme!")


_TEXT = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _TEXT | _TEXT.map(lambda text: f"{text}\n{{{text}}}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT.filter(bool), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT.filter(bool), _VALUES, min_size=1, max_size=5), _TEXT)
def test_what_is_written_is_read_as_it_was(content: dict[str, object], remark: str) -> None:
    first = next(iter(content))
    assert yaml.safe_load(written_source(content, {(first,): [remark]})) == content
