"""Registered Python functions for mappings (`script: <name>`): one text in, one text or None out. Never `eval`.

They run in Spark's Python workers, so they are plain functions of this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from spine.core.errors import ConfigError
from spine.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pyspark.sql import Column

Script = Callable[[str], str | None]
VOCABULARY: Vocabulary[Script] = Vocabulary()
FAILED = "\x00"  # no text of a payload: U+0000 is taken out of them


def script(name: str) -> Callable[[Script], Script]:
    """Register a function under the name that mappings use."""

    def register(function: Script) -> Script:
        VOCABULARY.add(name, function)
        return function

    return register


def apply_script(name: str, value: Column) -> Column:
    """`value` through the registered function, each distinct text of a batch once; FAILED where the function raised.

    Raises ConfigError if nobody registered it.
    """
    if name not in VOCABULARY:
        raise ConfigError(f"no script {name!r} is registered", hint=f"Known scripts: {sorted(VOCABULARY)}")
    function = VOCABULARY[name]

    from pyspark.sql.functions import arrow_udf

    def run(texts: pa.Array) -> pa.Array:
        distinct = texts.dictionary_encode()
        results = [None if text is None else _tried(function, text) for text in distinct.dictionary.to_pylist()]
        return pa.array(results, pa.string()).take(distinct.indices)

    return arrow_udf(run, "string")(value)


def _tried(function: Script, text: str) -> str | None:
    """What a function makes of a text, FAILED if it raises: one value of one tenant is no reason to lose everybody's rows."""
    try:
        return function(text)
    except Exception:
        return FAILED


@script("without_markup")
def without_markup(text: str) -> str | None:
    """Plain text of a value with HTML tags, as CRM note and address fields have them."""
    *pieces, rest = text.split(">")
    # Each piece ends a tag if it begins one. An expression would look for the end of each `<` of a text that has none.
    plain = [f"{head} " if bracket else f"{head}>" for head, bracket, _ in (piece.partition("<") for piece in pieces)]
    return re.sub(r"\s+", " ", "".join(plain) + rest).strip() or None
