"""Streams that are found get names whose tables nobody else has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from spine.core.names import history_table, silver_table
from spine.sources.finding import Entry, find
from spine.sources.reading import Page, State, Window, make_record
from spine.sources.spec import Source, Stream


class Told:
    """A reader of an account that has tables of these titles."""

    def __init__(self, *titles: str) -> None:
        self.titles = titles

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        yield Page([make_record(stream, {"id": title, "title": title}, cursor=None) for title in self.titles], None, None)


def source(**words: Any) -> Source:
    tables = {"name": "tables", "path": "/tables", "key": ["id"]}
    found = {"name": "cost", "path": "/{found.id}", "key": ["id"], "found": {"stream": "tables", "name": "title"}, **words}
    costs = {"name": "daily", "path": "/costs", "key": ["id"], "entity": "cost_report", "mapping": {"fields": {"external_id": "id"}}}
    return Source(source="shop", label="Shop", domain="finops", streams=[tables, found, costs])


def names(declared: Source, *titles: str, known: dict[str, Entry] | None = None) -> dict[str, str]:
    found = find(declared, declared.stream("cost"), Told(*titles), {}, known or {}, datetime.now(UTC))
    return {key: entry.name for key, entry in found.entries.items()}


def test_a_name_is_none_of_another_streams_silver_table() -> None:
    found = names(source(), "Report", "Other")
    assert found["Other"] == "cost_other"
    assert silver_table("shop", found["Report"]) != silver_table("shop", "cost_report")
    assert found["Report"].startswith("cost_report_")


@pytest.mark.parametrize("titles", [("Sales", "Sales history"), ("Sales history", "Sales")])
def test_a_name_is_none_of_the_table_of_another_ones_versions(titles: tuple[str, str]) -> None:
    found = names(source(history=True), *titles)
    assert found["Sales history"] != "cost_sales_history"
    assert history_table("shop", found["Sales"]) != silver_table("shop", found["Sales history"])
    assert names(source(), *titles)["Sales history"] == "cost_sales_history", "where no versions are kept there is no such table"


def test_a_name_that_was_given_stays() -> None:
    given = {"Report": Entry("cost_report", "Report")}
    assert names(source(), "Report", known=given) == {"Report": "cost_report"}
