"""The registered checks of row rules: a Spark predicate each that is true where a row fails. A new check is a function here and its test.

A null passes every check that is not registered with `nulls=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spine.core.entities import Entity, EntityField, RowRule
from spine.core.errors import ConfigError
from spine.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pyspark.sql import Column

Fields = Callable[[str], "Column"]
_TYPES = {"integer": "bigint", "decimal": "decimal(28,6)", "number": "double"}


@dataclass(frozen=True)
class Subject:
    """What a check judges: the rule, the entity it belongs to, and the columns of the entity's fields."""

    rule: RowRule
    entity: Entity
    columns: Fields

    def needed(self, word: str) -> Any:
        """What the rule says at `word`. Raises ConfigError if it says nothing."""
        value = getattr(self.rule, word)
        if not value:
            raise ConfigError(
                f"row rule {self.rule.name!r} ({self.rule.check}) has no {word}", hint=f"Give it {word!r} in the entity's file"
            )
        return value

    def bounds(self) -> tuple[Any, Any]:
        """The two values of the rule, the least and the greatest. Raises ConfigError."""
        values = self.needed("values")
        if len(values) != 2:
            raise ConfigError(f"row rule {self.rule.name!r} ({self.rule.check}) needs two values, the least and the greatest")
        return values[0], values[1]

    @property
    def value(self) -> Column:
        """The column of the rule's field. Raises ConfigError if it names none."""
        return self.columns(self.needed("field"))

    @property
    def field(self) -> EntityField:
        """The declaration of the rule's field."""
        return self.entity.fields[self.needed("field")]

    def literal(self, value: Any) -> Column:
        """A value of the rule, of the type of its field."""
        from pyspark.sql import functions as F

        word = repr(value) if isinstance(value, float) else str(value)
        return F.lit(word).cast(_TYPES.get(self.field.type, self.field.type))


@dataclass(frozen=True)
class Check:
    """A registered check: where a row fails it, the words of a rule that it needs, and whether it judges nulls.

    `bounds` says that its `values` are two, the least and the greatest, `types` which types its field may have (empty: all).
    """

    fails: Callable[[Subject], Column]
    words: tuple[str, ...]
    nulls: bool
    bounds: bool = False
    types: tuple[str, ...] = ()


VOCABULARY: Vocabulary[Check] = Vocabulary()


def check(
    name: str, *words: str, nulls: bool = False, bounds: bool = False, types: tuple[str, ...] = ()
) -> Callable[[Callable[[Subject], Column]], Callable[[Subject], Column]]:
    """Register a function under the word that row rules use; `words` are the others of a rule that it needs."""

    def register(function: Callable[[Subject], Column]) -> Callable[[Subject], Column]:
        VOCABULARY.add(name, Check(function, words, nulls, bounds, types))
        return function

    return register


@check("required", "field", nulls=True)
def required(subject: Subject) -> Column:
    """The field holds something, not only blanks.

    Example:
        name: has_a_name
        check: required
        field: name
        reason: "the organisation has no name"
        fails: {name: null}
    """
    return _all_absent([subject.value])


@check("any_present", "fields", nulls=True)
def any_present(subject: Subject) -> Column:
    """At least one of the fields holds something.

    Example:
        name: can_be_reached
        check: any_present
        fields: [email, phone]
        reason: "neither e-mail nor phone"
        fails: {email: null, phone: null}
    """
    return _all_absent([subject.columns(name) for name in subject.needed("fields")])


@check("matches", "field", "pattern")
def matches(subject: Subject) -> Column:
    """The text has a part that fits a regular expression (of RE2, in linear time); with `^` and `$` the whole text has to fit.

    Example:
        name: email_is_valid
        check: matches
        field: email
        pattern: '^[^@]+@[^@]+$'
        reason: "the e-mail is not an address"
        fails: {email: "jane at example.com"}
    """
    from pyspark.sql.functions import arrow_udf

    pattern = subject.needed("pattern")

    def fits(texts: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        return pc.match_substring_regex(texts, pattern)

    # Java's expressions go back and try again: one odd value could take minutes.
    return ~arrow_udf(fits, "boolean")(subject.value.cast("string"))


@check("one_of", "field", "values")
def one_of(subject: Subject) -> Column:
    """The value is one of those listed.

    Example:
        name: stage_is_known
        check: one_of
        field: stage
        values: [open, won, lost]
        reason: "nobody knows this stage"
        fails: {stage: maybe}
    """
    return ~subject.value.isin(*[subject.literal(allowed) for allowed in subject.needed("values")])


@check("between", "field", "values", bounds=True)
def between(subject: Subject) -> Column:
    """The value is not below the first nor above the second of two values; numbers, dates and times.

    Example:
        name: birth_date_is_plausible
        check: between
        field: birth_date
        values: ["1000-01-01", "2999-12-31"]
        reason: "the birth date is before the year 1000"
        fails: {birth_date: "0091-02-03"}
    """
    least, greatest = subject.bounds()
    return (subject.value < subject.literal(least)) | (subject.value > subject.literal(greatest))


@check("length", "field", "values", bounds=True)
def length(subject: Subject) -> Column:
    """The text has at least as many characters as the first and at most as many as the second of two numbers.

    Example:
        name: country_is_a_code
        check: length
        field: country
        values: [2, 3]
        reason: "the country is no code"
        fails: {country: Germany}
    """
    from pyspark.sql import functions as F

    least, greatest = subject.bounds()
    return (F.length(subject.value) < least) | (F.length(subject.value) > greatest)


@check("not_in_future", "field", types=("date", "timestamp"))
def not_in_future(subject: Subject) -> Column:
    """The date or time is not after now.

    Example:
        name: birth_date_is_past
        check: not_in_future
        field: birth_date
        reason: "the birth date lies in the future"
        fails: {birth_date: "2999-01-01"}
    """
    from pyspark.sql import functions as F

    return subject.value > (F.current_date() if subject.field.type == "date" else F.current_timestamp())


def _all_absent(values: Sequence[Column]) -> Column:
    from pyspark.sql import functions as F

    absent = [value.isNull() | (F.trim(value.cast("string")) == "") for value in values]
    result = absent[0]
    for one in absent[1:]:
        result = result & one
    return result
