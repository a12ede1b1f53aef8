"""Any value in any field costs linear time: every expression of the code, every function that meets foreign text, every transform and rule.

Times are of this thread's processor; a size four times as large may take ten times as long, where a quadratic takes sixteen.
"""

from __future__ import annotations

import ast
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import permutations
from re import _constants, _parser  # type: ignore[attr-defined]  # the parser of the standard library has no public name
from typing import Any

import pyarrow as pa
import pytest
import yaml

from spine.core import clock, jsontext
from spine.core.dialect import cleaned, dialect_of, plain_number
from spine.core.entities import load_entity
from spine.core.errors import ConfigError, SpineError
from spine.core.settings import PROJECT, settings
from spine.core.texts import Pattern
from spine.http import links
from spine.http.auth.session import cookie_of
from spine.http.limits import wait_of
from spine.http.transport import Response
from spine.http.words import said
from spine.identity.composites.person_name import person_name
from spine.identity.composites.postal_address import address
from spine.identity.kinds import all_kinds
from spine.normalize.regions import e164, phone_numbers, region_codes
from spine.normalize.scripts import VOCABULARY as SCRIPTS
from spine.normalize.transforms import VOCABULARY as TRANSFORMS
from spine.normalize.transforms import apply_transform
from spine.quality.checks import Subject, matches
from spine.sources.drops import natural
from spine.sources.reading import cursor_text

PACKAGE = PROJECT / "include" / "spine"
END = " @\x01"  # what most expressions take no more
SLOW = 0.004  # seconds; what takes less at the small size is not looked at again


def taken(function: Callable[[str], object], text: str, times: int = 3) -> float:
    """Seconds of processor time, the least of some runs."""
    found = []
    for _ in range(times):
        begun = time.thread_time()
        with suppress(SpineError, ValueError):
            function(text)
        found.append(time.thread_time() - begun)
    return min(found)


def ratio(function: Callable[[str], object], prefix: str, pump: str, size: int) -> float:
    """How much longer four times the size takes."""
    return taken(function, prefix + pump * 4 * size + END) / taken(function, prefix + pump * size + END)


def slow_ones(function: Callable[[str], object], attacks: list[tuple[str, str]], small: int = 8192) -> list[tuple[str, str]]:
    """The first (prefix, pump) whose repetition costs more than linear time, if there is one."""
    for prefix, pump in attacks:
        # Small ones first: what is exponential never ends at a large size.
        for size in (14, 18, 22, 256, small):
            if (first := taken(function, prefix + pump * size + END, 1)) > SLOW:
                break
        attack = prefix + pump * size + END
        if first > SLOW and taken(function, attack) > SLOW and (size < 256 or ratio(function, prefix, pump, size) > 10):
            return [(prefix, pump)]
    return []


_TELLING: dict[Any, Callable[[Any], str]] = {
    _constants.LITERAL: chr,
    _constants.NOT_LITERAL: chr,
    _constants.RANGE: lambda ends: chr(ends[0]),
    _constants.CATEGORY: lambda name: "1" if "DIGIT" in str(name) else " " if "SPACE" in str(name) else "a",
}


def letters_in(item: Any) -> Iterator[str]:
    """The letters of a parsed expression, one of each class."""
    if isinstance(item, tuple) and item and type(item[0]) is type(_constants.LITERAL) and item[0] in _TELLING:
        yield _TELLING[item[0]](item[1])
    elif isinstance(item, tuple | list | _parser.SubPattern):
        for inner in item:
            yield from letters_in(inner)


def letters_of(pattern: str) -> list[str]:
    """Some letters that a pattern tells apart."""
    return list(dict.fromkeys([*letters_in(_parser.parse(pattern)), "a"]))[:6]


def attacks_on(letters: list[str], most: int) -> list[tuple[str, str]]:
    """Beginnings and what is repeated behind them."""
    pairs = ["".join(pair) for pair in permutations(letters, 2)]
    every = [(prefix, pump) for prefix in ("", *letters, *pairs) for pump in (*letters, *pairs)]
    return every if len(every) <= most else random.Random(7).sample(every, most)


@dataclass(frozen=True)
class Expression:
    """A regular expression of the code, and how it is asked."""

    place: str
    pattern: re.Pattern[str]
    methods: tuple[str, ...]


def calls_of_re(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) and node.args else None
        if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "re" and called.attr != "escape":
            yield node  # type: ignore[misc]


def expressions() -> Iterator[Expression]:
    """Every regular expression of the code that is known before it runs; those made of words of a declaration are not."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in calls_of_re(ast.parse(source)):
            module = import_module(".".join(("spine", *path.relative_to(PACKAGE).with_suffix("").parts)))
            flags = re.IGNORECASE if "IGNORECASE" in ast.unparse(node) else 0
            try:
                text = eval(ast.unparse(node.args[0]), vars(module))  # noqa: S307  # the package's own source
            except NameError:
                continue
            if isinstance(text, str):
                assert isinstance(node.func, ast.Attribute)
                pattern = re.compile(text, flags)
                names = [name for name, value in vars(module).items() if isinstance(value, re.Pattern) and value.pattern == text]
                asked = {method for name in names for method in re.findall(rf"\b{name}\.(\w+)\(", source)} or {node.func.attr}
                methods = {method if method in ("match", "fullmatch") else "search" for method in asked}
                yield Expression(f"{path.relative_to(PACKAGE)}:{node.lineno}", pattern, tuple(sorted(methods)))


EXPRESSIONS = list(expressions())


def test_there_are_expressions() -> None:
    assert len(EXPRESSIONS) > 50


# What sees texts of a bounded length (folded ones 400 letters, a line of an error 2,000, a vendor's words 600, telephones 250), or the
# operator's own.
BOUNDED = (
    "identity/kinds/", "core/foreign", "identity/standardize", "identity/composites", "http/words", "normalize/regions",
    "core/texts", "core/choices", "core/declarations", "stack/", "dagkit/", "sources/rest", "sandbox/",
)  # fmt: skip
ASKED = [expression for expression in EXPRESSIONS if not expression.place.startswith(BOUNDED)]


@pytest.mark.parametrize("expression", ASKED, ids=[expression.place for expression in ASKED])
def test_an_expression_of_the_code_takes_linear_time(expression: Expression) -> None:
    attacks = attacks_on(letters_of(expression.pattern.pattern), 120)
    for method in expression.methods:
        assert slow_ones(getattr(expression.pattern, method), attacks) == []


@pytest.mark.parametrize("text", [r"^[^@\s]+@[^@\s]+\.[^@\s]+$", r"\.+$", r"^(a+)+$", r"<[^>]*>", r"\s*(?:x)\s*\d+$"])
def test_expressions_that_are_not_linear_are_seen(text: str) -> None:
    # On a busy machine one measurement may miss a ratio; three do not.
    assert any(slow_ones(re.compile(text).search, attacks_on(letters_of(text), 900)) for _ in range(3))


def test_no_expression_ends_with_a_sign_that_a_line_break_may_follow() -> None:
    """`$` takes `name` with a line break behind it for `name`; `fullmatch` and `\\Z` do not. RE2, by which Arrow works, has no `\\Z`."""
    python = [found for found in EXPRESSIONS if not found.place.startswith("identity/kinds/email")]
    assert [one.place for one in python if re.search(r"(?<!\\)\$", re.sub(r"\[!?#?\$", "[", one.pattern.pattern))] == []


@pytest.mark.parametrize("pattern", [r"^(?=.*a)b", r"(a)\1", r"a++", r"(?>a)", r"(?<!a)b"])
def test_an_expression_of_a_declaration_that_could_go_back_is_refused(pattern: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    with pytest.raises(ValidationError, match="linear time"):
        TypeAdapter(Pattern).validate_python(pattern)


def test_a_name_with_a_line_break_is_none() -> None:
    from spine.core.choices import parse_level
    from spine.core.names import require_tenant, require_word

    for check in (require_tenant, lambda name: require_word(name, "name")):
        with pytest.raises(ConfigError):
            check("acme\n")
    with pytest.raises(ValueError, match="is no level"):
        parse_level("same first3\n.", "surname")


LETTERS = [*" \t\n.,;:@-+/()<>[]{}\"'\\#x0149eEaZß&%|=_", "é", "\u0301", "\u200b", "\u00a0", "٣", "ﷺ", "\U0001f600", "株"]
ATTACKS = [("", letter) for letter in LETTERS] + attacks_on(LETTERS, 20)


def column_of(kind: Any, text: str) -> object:
    return kind.column([kind.name], [pa.array([text])], kind.standardize)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    **{f"kind {kind.name}": kind.standardize for kind in all_kinds()},
    **{f"column of kind {kind.name}": partial(column_of, kind) for kind in all_kinds()},
    **{f"script {name}": SCRIPTS[name] for name in SCRIPTS},
    "person's name": lambda text: person_name(text, text, text),
    "postal address": lambda text: address(text, text, text, text, text),
    "phone of a country": lambda text: e164(text, "DE"),
    "phone abroad": lambda text: e164(f"+{text}", None),
    "phones": lambda text: phone_numbers(pa.array([text]), pa.array(["DE"])),
    "country": lambda text: region_codes(pa.array([text])),
    "cursor": cursor_text,
    "time": clock.parse,
    "name of a file": natural,
    "name of a column": cleaned,
    "decimal comma": plain_number,
    "header of a CSV": lambda text: dialect_of(text.encode(), whole=True),
    "JSON": lambda text: jsontext.parse(text.encode()),
    "JSON text": lambda text: jsontext.parse(json.dumps({"a": text}).encode()),
    "words of a vendor": lambda text: said(text.encode(), ["secret"]),
    "words of a vendor in JSON": lambda text: said(json.dumps({"message": text}).encode(), ["secret"]),
    "cookies": lambda text: cookie_of(Response(200, {"set-cookie": f"a=1,{text}"}, b"", ""), "s"),
    "a cookie": lambda text: cookie_of(Response(200, {"set-cookie": f's="{text}"'}, b"", ""), "s"),
    "an octal cookie": lambda text: cookie_of(Response(200, {"set-cookie": f's="{text.encode().hex()}'.replace("3", "\\1")}, b"", ""), "s"),
    "Link header": lambda text: links.target(text, "next"),
    "Link header with a link": lambda text: links.target(f"<x>;{text}", "next"),
    "Retry-After": lambda text: wait_of({"Retry-After": text}),
    "RateLimit": lambda text: wait_of({"RateLimit": text, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_meets_foreign_text_takes_linear_time(name: str) -> None:
    assert slow_ones(FUNCTIONS[name], ATTACKS, 2048) == []


SIZE = 1 << 16
PUMPS = [*" .,;:@-+/()<>#x01a\n", "\u200b", "a@", "a.", "1,", "? ", ">a"]


@pytest.fixture(scope="module")
def long_texts(spark: Any) -> Any:
    rows = [(prefix, pump) for prefix in ("", "a@", "<", "mailto:") for pump in PUMPS]
    from pyspark.sql import functions as F

    frame = spark.createDataFrame(rows, "prefix string, pump string").repartition(2)
    return frame.select(F.concat("prefix", F.expr(f"repeat(pump, {SIZE})"), F.lit("x@\x01")).alias("text"))


def seconds(frame: Any, column: Any) -> float:
    from pyspark.sql import functions as F

    begun = time.monotonic()
    frame.select(F.sum(F.length(column.cast("string")))).collect()
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def yardstick(long_texts: Any) -> float:
    from pyspark.sql import functions as F

    seconds(long_texts, F.upper("text"))
    return max(seconds(long_texts, apply_transform("trim", F.col("text"), F.lit("DE"))) for _ in range(2))


@pytest.mark.spark
class TestInSpark:
    """Transforms and rules run in a JVM, so a yardstick of the same size tells what is linear."""

    @pytest.mark.parametrize("name", sorted(TRANSFORMS))
    def test_a_transform_takes_linear_time(self, long_texts: Any, yardstick: float, name: str) -> None:
        from pyspark.sql import functions as F

        assert seconds(long_texts, apply_transform(name, F.col("text"), F.lit("DE"))) < 2 + 4 * yardstick

    @pytest.mark.parametrize("name", sorted(path.stem for path in settings().entities.glob("*.yaml")))
    def test_the_patterns_of_an_entity_take_linear_time(self, long_texts: Any, yardstick: float, name: str) -> None:
        from pyspark.sql import functions as F

        entity = load_entity(name)
        for rule in entity.row_rules:
            if rule.check == "matches":
                assert seconds(long_texts, matches(Subject(rule, entity, lambda _: F.col("text")))) < 2 + 4 * yardstick


def test_a_declaration_whose_anchors_stand_in_one_another_is_read_in_linear_time(tmp_path: Any) -> None:
    """Ten anchors of ten each are ten thousand million values."""
    from spine.core.declarations import load_declaration
    from spine.core.entities import Entity

    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join(lines))
    assert yaml.safe_load(path.read_text()) is not None
    begun = time.thread_time()
    with pytest.raises(ConfigError):
        load_declaration(path, Entity)
    assert time.thread_time() - begun < 5
