"""The suite on every source of `include/sources`, found by name: a user's own file is judged as ours are.

And on small sources that have each word of the language, so that each kind of paging, authentication, cursor and job is among them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.declarations import load_declaration
from spine.core.settings import PROJECT
from spine.http.auth import AUTH_KINDS
from spine.http.paging import PAGING_KINDS
from spine.sources.check import mistakes_of
from spine.sources.decoders import DECODER_KINDS
from spine.sources.spec import Source
from tests.connector_suite.checks import CHECKS
from tests.connector_suite.verdicts import judged

OURS = sorted((PROJECT / "include" / "sources").glob("*.yaml"))
SMALL = sorted((Path(__file__).parent / "specs").glob("*.yaml"))
SPECS = {path.stem: load_declaration(path, Source) for path in SMALL}


@pytest.mark.slow
@pytest.mark.parametrize("path", [*OURS, *SMALL], ids=lambda path: path.stem)
def test_a_source_is_read_as_its_file_says(path, record_property, capsys, where):
    source = load_declaration(path, Source)
    verdict = judged(source, where=where(source))
    record_property("verdict", verdict.text())
    with capsys.disabled():
        print(f"\n{verdict.text()}" if verdict.failed else "", end="")
    if verdict.error is not None:
        raise AssertionError(verdict.text()) from verdict.error
    assert verdict.held or verdict.left


def test_small_sources_have_each_kind():
    """A new kind is covered when a small source has it, and a server of it is known."""
    for source in SPECS.values():
        assert mistakes_of(source) == []
    streams = [stream for source in SPECS.values() for stream in source.streams]
    known = {
        "paging": {kind.model_fields["type"].default for kind in PAGING_KINDS.classes()},
        "response": {kind.model_fields["type"].default for kind in DECODER_KINDS.classes()},
        "auth": {kind.model_fields["type"].default for kind in AUTH_KINDS.classes()} - {"database"},
    }
    tried = {
        "paging": {stream.paging.type for stream in streams},
        "response": {stream.response.type for stream in streams},
        "auth": {stream.auth.type for stream in streams if stream.auth},
    }
    assert tried == known


def test_no_check_is_tried_on_nothing():
    """On the small sources each check finds streams that it is meant for, and nothing of them is beyond the vendor."""
    from tests.connector_suite.checks import Case, streams_for

    for check in CHECKS.values():
        assert any(not check.left(Case(source, stream)) for source in SPECS.values() for stream in streams_for(check, source)), check.name
