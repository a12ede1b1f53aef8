"""What Odoo Enterprise's reports need, as docs/odoo.md lists it, against what the source's file reads."""

from __future__ import annotations

import re

from spine.core.settings import PROJECT
from spine.sources.spec import load_source

PAGE = (PROJECT / "docs" / "odoo.md").read_text()
LINES = re.findall(r"^\| ([^|`]+?) \| ((?:`[a-z_.]+`(?:, )?)+) \| (yes|on request) \|$", PAGE, re.MULTILINE)


def read() -> set[str]:
    """The models that have a stream."""
    return {stream.body.json_["model"] for stream in load_source("odoo").streams if stream.body}


def test_a_report_is_covered_where_every_model_that_it_needs_is_read() -> None:
    assert len(LINES) == PAGE.count("\n| ") - 2
    models = read()
    for report, needs, covered in LINES:
        lacking = set(re.findall(r"`([a-z_.]+)`", needs)) - models
        assert (not lacking) is (covered == "yes"), f"{report}: {lacking}"


def test_four_of_five_are_covered_and_the_page_says_how_many() -> None:
    covered = sum(how == "yes" for _, _, how in LINES)
    assert covered / len(LINES) >= 0.8
    assert f"{covered} of {len(LINES)} are covered, {100 * covered / len(LINES):.0f} %." in PAGE
