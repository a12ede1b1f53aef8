"""The registered transforms of mappings: text column in, text column out. A new transform is a function here and a row of its test.

A value that a transform does not understand passes unchanged, so that the cast after it or a rule names it in quarantine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spine.core.errors import ConfigError
from spine.core.vocabulary import Vocabulary
from spine.normalize.payload import MARKS, SPACES, letters_of, short_number, trimmed, unless_blank

if TYPE_CHECKING:
    from pyspark.sql import Column

TransformFunction = Callable[["Column", "Column"], "Column"]
VOCABULARY: Vocabulary[TransformFunction] = Vocabulary()
_JSON_DATE = r"^/Date\((-?[0-9]{1,15})(?:[+-][0-9]{1,4})?\)/$"


def transform(name: str) -> Callable[[TransformFunction], TransformFunction]:
    """Register a function of (value, country of the same row) under the word that mappings use."""

    def register(function: TransformFunction) -> TransformFunction:
        VOCABULARY.add(name, function)
        return function

    return register


def apply_transform(name: str, value: Column, country: Column) -> Column:
    """`value` through a registered transform; a blank result becomes null. Raises ConfigError for an unknown name."""
    if name not in VOCABULARY:
        raise ConfigError(f"no transform {name!r}", hint=f"Known transforms: {sorted(VOCABULARY)}")
    return unless_blank(VOCABULARY[name](value, country))


@transform("none")
def none(value: Column, _: Column) -> Column:
    """The value as it is.

    Example: `Acme ` → `Acme `
    """
    return value


@transform("trim")
def trim(value: Column, _: Column) -> Column:
    """Without spaces at the ends, and with single ones inside.

    Example: `  Ada   Lovelace ` → `Ada Lovelace`
    """
    from pyspark.sql import functions as F

    return trimmed(F.regexp_replace(value, f"{letters_of(SPACES)}+", " "))


@transform("lower")
def lower(value: Column, _: Column) -> Column:
    """In lower case, trimmed.

    Example: ` ABC ` → `abc`
    """
    from pyspark.sql import functions as F

    return F.lower(trimmed(value))


@transform("upper")
def upper(value: Column, _: Column) -> Column:
    """In upper case, trimmed.

    Example: ` abc` → `ABC`
    """
    from pyspark.sql import functions as F

    return F.upper(trimmed(value))


@transform("title")
def title(value: Column, _: Column) -> Column:
    """Each word with a capital, trimmed.

    Example: `ada lovelace` → `Ada Lovelace`
    """
    from pyspark.sql import functions as F

    return F.initcap(trimmed(value))


@transform("digits")
def digits(value: Column, _: Column) -> Column:
    """Digits only.

    Example: `+49 (711) 12` → `4971112`
    """
    from pyspark.sql import functions as F

    return F.regexp_replace(value, r"[^0-9]", "")


@transform("email")
def email(value: Column, _: Column) -> Column:
    """In lower case, without `mailto:`, a name before `<…>`, invisible marks, and what ends a list; a rule asks whether it is an address.

    Example: `Ada <mailto:Ada@Example.org>,` → `ada@example.org`
    """
    from pyspark.sql import functions as F

    text = F.regexp_replace(F.lower(trimmed(value)), letters_of(MARKS), "")
    text = F.regexp_replace(text, r"^[^<>@]*<([^<>@\s]+@[^<>@\s]+)>[\s,;.]*$", "$1")
    text = F.regexp_replace(text, r"^mailto:([^?]*)(\?.*)?$", "$1")
    return F.regexp_replace(trimmed(text, also=",;<>'\""), r"(?<!\.)\.++\z", "")


@transform("url_domain")
def url_domain(value: Column, _: Column) -> Column:
    """The host of a web address, without `www.`.

    Example: `https://www.Example.com:8080/about` → `example.com`
    """
    from pyspark.sql import functions as F

    host = F.regexp_extract(F.lower(trimmed(value)), r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(?:www\.)?([^/:?#\s]+)", 1)
    return F.when(host != "", host).otherwise(F.lower(trimmed(value)))


@transform("date")
def date(value: Column, _: Column) -> Column:
    """ISO date of `2026-01-31` (any time behind it is cut), `20260131`, `2026/01/31`, `31.01.2026`, `2026-01-31-08:00` and `/Date(…)/`.

    The latter two are those of XML Schema and of OData 2. `01/02/2026` is not read: it means two different days.

    Example: `31.01.2026` → `2026-01-31`
    """
    from pyspark.sql import functions as F

    told = F.timestamp_millis(F.nullif(F.regexp_extract(trimmed(value), _JSON_DATE, 1), F.lit("")).try_cast("bigint"))
    text = F.coalesce(F.date_format(told, "yyyy-MM-dd"), trimmed(value))
    text = F.regexp_replace(text, r"^(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})$", "$1")
    text = F.regexp_replace(text, r"^(\d{1,2})\.(\d{1,2})\.(\d{4})$", "$3-$2-$1")
    text = F.regexp_replace(text, r"^(\d{4})/(\d{1,2})/(\d{1,2})$", "$1-$2-$3")
    return F.regexp_replace(text, r"^(\d{4})(\d{2})(\d{2})$", "$1-$2-$3")


@transform("told_date")
def told_date(value: Column, region: Column) -> Column:
    """As `date`, for fields in which people write what they like: a text that is no date is no value, and costs no record.

    Example: `31.01.2026` → `2026-01-31`
    """
    from pyspark.sql import functions as F

    text = date(value, region)
    return F.when(F.try_to_date(F.substring(text, 1, 10), F.lit("yyyy-MM-dd")).isNotNull(), text)


@transform("timestamp")
def timestamp(value: Column, _: Column) -> Column:
    """ISO time, trimmed; one without a zone is UTC.

    Example: ` 2026-01-31T08:15:00Z ` → `2026-01-31T08:15:00Z`
    """
    return trimmed(value)


@transform("epoch_ms")
def epoch_ms(value: Column, _: Column) -> Column:
    """ISO time of milliseconds since 1970 (UTC), also as `/Date(…)/` of OData 2.

    Example: `1769847300123` → `2026-01-31T08:15:00.123Z`
    """
    from pyspark.sql import functions as F

    number = F.regexp_replace(trimmed(value), _JSON_DATE, "$1")
    moment = F.timestamp_millis(number.try_cast("bigint"))
    return F.coalesce(F.date_format(moment, "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"), value)


@transform("epoch")
def epoch(value: Column, _: Column) -> Column:
    """ISO time of seconds since 1970 (UTC), also with a part of a second.

    Example: `1769847300` → `2026-01-31T08:15:00.000000Z`
    """
    from pyspark.sql import functions as F

    moment = F.timestamp_micros((short_number(trimmed(value)).try_cast("decimal(26,6)") * 1_000_000).try_cast("bigint"))
    return F.coalesce(F.date_format(moment, "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"), value)


@transform("mail_time")
def mail_time(value: Column, _: Column) -> Column:
    """ISO time of one that is written as in e-mails (RFC 2822).

    Example: `Sat, 31 Jan 2026 08:15:00 +0000` → `2026-01-31T08:15:00Z`
    """
    from pyspark.sql import functions as F

    # Spark reads no names of days: they say nothing that the date does not.
    plain = F.regexp_replace(trimmed(value), r"^[A-Za-z]{3}, ", "")
    moment = F.try_to_timestamp(plain, F.lit("d MMM yyyy HH:mm:ss Z"))
    return F.coalesce(F.date_format(moment, "yyyy-MM-dd'T'HH:mm:ssXXX"), value)


# https://docs.stripe.com/currencies: currencies without minor units, and those with thousandths.
_WHOLE = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")


@transform("minor_units")
def minor_units(value: Column, _: Column) -> Column:
    """A sum in the smallest unit of its currency, which stands behind it (`join: " "`), in units: cents for most, yen as they are.

    Example: `12345 usd` → `123.450000`
    """
    from pyspark.sql import functions as F

    text = trimmed(value)
    currency = F.upper(F.regexp_extract(text, r"^[+-]?[0-9.]{1,30} ([A-Za-z]{3})$", 1))
    amount = F.regexp_extract(text, r"^([+-]?[0-9.]{1,30}) [A-Za-z]{3}$", 1).try_cast("decimal(26,4)")
    divisor = F.when(currency.isin(*_WHOLE), 1).when(currency.isin(*_THOUSANDTHS), 1000).otherwise(100)
    return F.coalesce((amount / divisor).cast("decimal(28,6)").cast("string"), value)


# Small words before a surname, and what follows a whole name.
_PARTICLE = "(?i:van|von|der|den|de|del|della|di|da|dos|du|la|le|ter|ten|zu|bin|ibn|al|el|st\\.)"
_TAIL = "(?i:,? (?:jr|sr|ii|iii|iv|phd|md|esq|mba)\\.?)$"
_SURNAME = f" ((?:{_PARTICLE} ){{0,3}}[^ ,]+)$"


def _full_name(value: Column, country: Column) -> Column:
    from pyspark.sql import functions as F

    return F.regexp_replace(trim(value, country), _TAIL, "")


@transform("given_names")
def given_names(value: Column, country: Column) -> Column:
    """The given names of a full name: all but the last word and the small ones before it, or what follows a comma; a single word is one.

    Example: `Ludwig van Beethoven` → `Ludwig`
    """
    from pyspark.sql import functions as F

    name = _full_name(value, country)
    behind = F.regexp_extract(name, "^[^,]+, ?([^,]+)$", 1)
    return F.when(behind != "", behind).otherwise(F.regexp_replace(name, _SURNAME, ""))


@transform("surname")
def surname(value: Column, country: Column) -> Column:
    """The surname of a full name: its last word with small ones as `van` before it, or what stands before a comma; of one word none.

    Example: `Ludwig van Beethoven` → `van Beethoven`
    """
    from pyspark.sql import functions as F

    name = _full_name(value, country)
    before = F.regexp_extract(name, "^([^,]+), ?[^,]+$", 1)
    return F.when(before != "", before).otherwise(F.regexp_extract(name, _SURNAME, 1))


@transform("micros")
def micros(value: Column, _: Column) -> Column:
    """A sum in millionths as units.

    Example: `12345000` → `12.345000`
    """
    from pyspark.sql import functions as F

    return F.coalesce((short_number(trimmed(value)).try_cast("decimal(30,0)") / 1_000_000).cast("decimal(28,6)").cast("string"), value)


@transform("cents")
def cents(value: Column, _: Column) -> Column:
    """A sum in cents as units.

    Example: `12345` → `123.450000`
    """
    from pyspark.sql import functions as F

    return F.coalesce((short_number(trimmed(value)).try_cast("decimal(26,4)") / 100).cast("decimal(28,6)").cast("string"), value)


@transform("boolean")
def boolean(value: Column, _: Column) -> Column:
    """`true` or `false` of the usual words (yes/no, on/off, 1/0, y/n, t/f).

    Example: `Yes` → `true`
    """
    from pyspark.sql import functions as F

    word = F.lower(trimmed(value))
    known = F.when(word.isin("true", "yes", "on", "1", "y", "t"), "true").when(word.isin("false", "no", "off", "0", "n", "f"), "false")
    return F.coalesce(known, value)


@transform("country")
def country_code(value: Column, _: Column) -> Column:
    """ISO 3166 alpha-2 code of a country's name or code, the trimmed text where it is not known.

    Example: `germany` → `DE`
    """
    from pyspark.sql.functions import arrow_udf

    from spine.normalize.regions import region_codes

    return arrow_udf(region_codes, "string")(value)


@transform("phone")
def phone(value: Column, country: Column) -> Column:
    """E.164 where it can be told by a `+` or by the row's country, else the digits; no extension, and nothing for what lost digits.

    Example: `0711 123456` in `DE` → `+49711123456`
    """
    from pyspark.sql.functions import arrow_udf

    from spine.normalize.regions import phone_numbers

    return arrow_udf(phone_numbers, "string")(value, country)
