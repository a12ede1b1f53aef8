"""What `spine match` reads: one file whose columns the rules name, or several sources whose columns are mapped to the attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.entities import MatchRules
from spine.identity.explaining.explain import listed
from spine.matching import checks
from spine.matching import files as match_files

RECORD, SOURCE = "#record", "#source"  # no column of a file is called so
BETWEEN = ":"  # a source's name and a record's id


@dataclass(frozen=True)
class Read:
    """Record ids that rise, the columns of the attributes and of the source in the same order, and how many empty rows were skipped."""

    ids: pa.Array
    table: pa.Table
    blank: int


class Records(Protocol):
    """Where records come from."""

    @property
    def name(self) -> str:
        """How they are called in titles and messages."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read."""
        ...

    @property
    def apart(self) -> bool:
        """Whether ids are those of a source: `source:id`, written in two columns."""
        ...

    def read(self, rules: MatchRules) -> Read:
        """The records. Raises ConfigError for what cannot be read, and for ids that are absent or not unique."""
        ...

    def content(self) -> Any:
        """What they are made of, other whenever they are."""
        ...

    def has_more_rows(self, most: int) -> bool:
        """Whether there are more records than that, as far as it can be told without reading them."""
        ...


@dataclass(frozen=True)
class OneFile:
    """A file whose columns are called as the rules say."""

    path: Path
    apart: bool = False

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    @property
    def paths(self) -> tuple[Path, ...]:
        """That file."""
        return (self.path,)

    def read(self, rules: MatchRules) -> Read:
        """As `Records.read`."""
        table, blank = match_files.without_empty_rows(match_files.read_columns(self.path, [rules.record_id, *checks.used(rules)]))
        ids = _ids(table, rules.record_id, self.path)
        table = table.select(checks.used(rules))
        if rules.source:  # a record of no known source is of one source with the other such records
            place = table.schema.get_field_index(rules.source)
            table = table.set_column(place, rules.source, pc.fill_null(table.column(place), ""))
        ids, table = _in_order(ids, table)
        checks.require_distinct(match_files.duplicates(ids), rules.record_id, self.path, rules.source)
        return Read(ids, table, blank)

    def content(self) -> str:
        """A hash of the file."""
        return content(self.path)

    def has_more_rows(self, most: int) -> bool:
        """As `Records.has_more_rows`."""
        return match_files.has_more_rows(self.path, most)


@dataclass(frozen=True)
class Source:
    """A file as a source of its own: which column holds its ids, and which one each attribute. `unused` are the others."""

    name: str
    path: Path
    record_id: str
    columns: Mapping[str, str]
    unused: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As a result shows it."""
        return {
            "source": self.name, "file": str(self.path), "record_id": self.record_id, "columns": dict(self.columns),
            "unused": list(self.unused),
        }  # fmt: skip


@dataclass(frozen=True)
class Mapped:
    """Sources whose columns are mapped to the attributes of the rules. Ids are unique within each, and `source:id` if they are `apart`."""

    sources: tuple[Source, ...]
    apart: bool

    @property
    def name(self) -> str:
        """The names of the files."""
        return listed([source.path.name for source in self.sources])

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(source.path for source in self.sources)

    def read(self, rules: MatchRules) -> Read:
        """As `Records.read`."""
        parts = [self._read(source, rules) for source in self.sources]
        ids, table = _in_order(pa.concat_arrays([part.ids for part in parts]), pa.concat_tables([part.table for part in parts]))
        return Read(ids, table.combine_chunks(), sum(part.blank for part in parts))

    def _read(self, source: Source, rules: MatchRules) -> Read:
        wanted = [source.record_id, *source.columns.values()]
        table, blank = match_files.without_empty_rows(match_files.read_columns(source.path, wanted))
        ids = _ids(table, source.record_id, source.path)
        rising = ids.take(pc.sort_indices(ids))
        checks.require_distinct(match_files.duplicates(rising), source.record_id, source.path)
        if self.apart:
            ids = pc.binary_join_element_wise(pa.scalar(source.name), ids, BETWEEN)
        none = pa.nulls(table.num_rows, pa.string())
        columns: dict[str, Any] = {
            name: table.column(source.columns[name]) if name in source.columns else none for name in checks.attributes(rules)
        }
        checks.require_some(source.columns, columns, source.path, table.num_rows)
        if rules.source:
            told = source.columns.get(SOURCE)
            columns[rules.source] = pc.fill_null(table.column(told), "") if told else pa.repeat(pa.scalar(source.name), table.num_rows)
        return Read(ids, pa.table(columns), blank)

    def content(self) -> list[Any]:
        """A hash of each file, with what its columns are taken for."""
        return [[source.name, source.record_id, dict(source.columns), content(source.path)] for source in self.sources]

    def has_more_rows(self, most: int) -> bool:
        """As `Records.has_more_rows`; files that each have fewer may have more together."""
        return any(match_files.has_more_rows(source.path, most // len(self.sources)) for source in self.sources)


def divided(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """A table whose columns of `source:id` are two each: `record_id` gets `source` beside it, `left_id` gets `left_source`."""
    found: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if name not in names:
            found[name] = column
            continue
        parts = pc.split_pattern(column, BETWEEN, max_splits=1)
        source = "source" if name == "record_id" else name.replace("_id", "_source")
        found[source] = pc.list_element(parts, 0)
        found[name] = pc.list_element(parts, 1)
    return pa.table(found)


def joined(table: pa.Table, source: str, name: str) -> pa.Array:
    """`source:id` of two columns that `divided` has made."""
    columns = [match_files.flat(table.column(one)).cast(pa.string()) for one in (source, name)]
    return pc.binary_join_element_wise(*columns, BETWEEN)


def content(path: Path) -> str:
    """A hash of a file's bytes; of a Delta table its id and version; empty if there is nothing."""
    if path.is_dir():
        return _delta_version(path)
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def content_of_rules(rules: Path | MatchRules) -> str:
    """A hash of rules: of the file, or of what was made of an entity's declaration."""
    if isinstance(rules, Path):
        return content(rules)
    return hashlib.blake2b(orjson.dumps(rules.model_dump(mode="json")), digest_size=16).hexdigest()


def _delta_version(path: Path) -> str:
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(str(path)):
        return ""
    table = DeltaTable(str(path))
    return f"{table.metadata().id}@{table.version()}"


def _ids(table: pa.Table, name: str, path: Path) -> pa.Array:
    ids = match_files.flat(table.column(name))
    checks.require_filled(ids.null_count, len(ids), name, path)
    return ids


def _in_order(ids: pa.Array, table: pa.Table) -> tuple[pa.Array, pa.Table]:
    """Sorted by id, so that nothing depends on the order of arrival."""
    if match_files.in_order(ids):
        return ids, table
    order = pc.sort_indices(ids)
    return ids.take(order), match_files.taken(table, order)
