"""Delta by SQL, so that the same code runs by spark-submit and on a Spark Connect client; the note that a commit carries.

The note (`userMetadata` of the commit) is read and written atomically with the data; see https://docs.delta.io/latest/delta-batch.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spine.core.errors import LakeError
from spine.core.foreign import told
from spine.lake.paths import storage_options

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

STORAGE_HINT = "Look at the lake's storage (room, rights, network), then run it again: nothing is written twice"
_NOTE = "spark.databricks.delta.commitInfo.userMetadata"


def table_path(uri: str) -> str:
    """A table's place as SQL names it."""
    return f"delta.`{uri}`"


def quoted(name: str) -> str:
    """A column name in back-ticks."""
    return f"`{name}`"


def literal(value: str) -> str:
    """A text as SQL that Spark and delta-rs read alike: only Spark takes a backslash for an escape, so it is written by its number."""
    texts = ["'" + part.replace("'", "''") + "'" for part in value.split("\\")]
    return texts[0] if len(texts) == 1 else f"concat({', chr(92), '.join(texts)})"


def row_hash(columns: Sequence[str]) -> str:
    """SQL of a 64 bit hash over columns that also tells which of them are null (Spark's own skips nulls)."""
    return f"xxhash64({', '.join(f'{name}, {name} IS NULL' for name in columns)})"


@contextmanager
def commit_note(spark: SparkSession, note: Mapping[str, Any] | None) -> Iterator[None]:
    """Every commit of this session inside the block carries `note` as JSON."""
    if note is None:
        yield
        return
    spark.conf.set(_NOTE, json.dumps(note, sort_keys=True))
    try:
        yield
    finally:
        spark.conf.unset(_NOTE)


def table_at(uri: str, version: int | None = None) -> DeltaTable | None:
    """The table at a version (default: newest), by delta-rs (milliseconds, no Spark job); None if there is none.

    Raises LakeError where storage does not say whether there is one, which delta-rs takes for a table that is not there.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri, version=version, storage_options=storage_options())
    except TableNotFoundError as error:
        answer = str(error)
        if "kind: " in answer and "kind: NotFound" not in answer:
            raise LakeError(f"storage did not answer: {told(answer.splitlines()[-1])}", hint=STORAGE_HINT, table=uri) from error
        return None


def notes(table: DeltaTable, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The notes of a table's commits, newest first; commits without one are skipped."""
    for commit in table.history(limit):
        try:
            note = json.loads(commit.get("userMetadata") or "null")
        except json.JSONDecodeError:
            continue
        if isinstance(note, dict):
            yield note
