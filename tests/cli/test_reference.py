"""The reference page is that of the code, and what its examples say is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.cli.reference import PAGE, SECTIONS, documented, page, write
from spine.core.entities import Entity, RowRule, TableRule
from spine.core.settings import PROJECT
from spine.http.auth import AUTH_KINDS
from spine.http.paging import PAGING_KINDS
from spine.sources.decoders import DECODER_KINDS

PARSERS = {
    "Authentication": lambda content: AUTH_KINDS.parse(**content).type,
    "Paging": lambda content: PAGING_KINDS.parse(**content).type,
    "Formats of answers": lambda content: DECODER_KINDS.parse(**content).type,
    "Checks": lambda content: RowRule.model_validate(content).check,
    "Metrics": lambda content: TableRule.model_validate(content).metric,
}
EXAMPLES = [(section.title, entry) for section in SECTIONS if section.title in PARSERS for entry in section.entries()]
TRANSFORM = re.compile(r"^`([^`]*)`(?: in `([^`]*)`)? → `([^`]*)`$")


def entries(title: str) -> list[Any]:
    (section,) = [section for section in SECTIONS if section.title == title]
    return section.entries()


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(SECTIONS), "docs/reference.md is not that of the code: run `make generate`"


def test_one_word_writes_everything_that_is_made_from_the_code() -> None:
    package = PROJECT / "include" / "spine"
    writers = [path for path in package.rglob("*.py") if "`make generate` writes" in path.read_text(encoding="utf-8").partition("\n\n")[0]]
    words = [f"python -m spine.{'.'.join(path.relative_to(package).with_suffix('').parts)}\n" for path in writers]
    recipe = (PROJECT / "Makefile").read_text(encoding="utf-8").partition("\ngenerate:")[2].partition("\n\n")[0] + "\n"
    assert len(words) >= 2
    assert [word for word in words if word not in recipe] == []


@pytest.mark.parametrize(("title", "entry"), EXAMPLES, ids=[f"{title}-{entry.name}" for title, entry in EXAMPLES])
def test_an_example_is_a_declaration_of_its_kind(title: str, entry: Any) -> None:
    assert PARSERS[title](yaml.safe_load(entry.example)) == entry.name
    assert all(word.meaning for word in entry.words)


@pytest.mark.parametrize("entry", entries("Metrics"), ids=lambda entry: entry.name)
def test_the_failing_value_of_an_example_is_out_of_bounds(entry: Any) -> None:
    rule = TableRule.model_validate(yaml.safe_load(entry.example))
    assert (rule.min is not None and rule.fails < rule.min) or (rule.max is not None and rule.fails > rule.max)


@pytest.mark.spark
def test_a_transform_does_what_its_example_says(spark: Any) -> None:
    from pyspark.sql import functions as F

    from spine.normalize.transforms import apply_transform

    told = {entry.name: TRANSFORM.match(entry.example) for entry in entries("Transforms")}
    assert all(told.values()), [name for name, found in told.items() if not found]
    columns = [apply_transform(name, F.lit(found[1]), F.lit(found[2]).cast("string")).alias(name) for name, found in told.items() if found]
    (row,) = spark.range(1).select(*columns).collect()
    assert row.asDict() == {name: found[3] for name, found in told.items() if found}


@pytest.mark.spark
def test_a_row_fails_the_example_of_its_check(spark: Any) -> None:
    from pyspark.sql import functions as F

    from spine.quality.rules import fails

    rules = [RowRule.model_validate(yaml.safe_load(entry.example)) for entry in entries("Checks")]
    columns = []
    for rule in rules:
        fields = {name: {"description": name, "type": "date" if "date" in name else "string"} for name in rule.fails}
        content = {"entity": "e", "label": "E", "domain": "d", "description": "d", "version": 1, "fields": fields}
        entity = Entity.model_validate(content)
        values = {name: F.lit(value).cast(entity.fields[name].type) for name, value in rule.fails.items()}
        columns.append(fails(rule, entity, values.__getitem__).alias(rule.check))
    (row,) = spark.range(1).select(*columns).collect()
    assert row.asDict() == {rule.check: True for rule in rules}


def test_what_has_no_example_is_refused() -> None:
    def silent() -> None:
        """Says nothing of how it is used."""

    with pytest.raises(ValueError, match=r"silent needs a docstring"):
        documented(silent)


def test_the_page_is_written_where_asked(tmp_path: Path) -> None:
    assert write(tmp_path / "page.md").read_text(encoding="utf-8") == page(SECTIONS)
