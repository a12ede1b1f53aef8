"""Splink 5 on a world of the grid, set up from its columns alone, in one of two ways.

`python benchmarks/identity_splink_worlds.py joined|apart RULES.yaml RECORDS.csv CLUSTERS.parquet MATCHES.parquet`

`joined` compares forename and surname together (Splink's ForenameSurnameComparison, frequencies of the whole name), `apart` each by itself
with term frequency adjustments. All else is alike and follows `identity_splink.py`: one comparison for all of the address, e-mail equal or
not, several strict blocking rules.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import splink.comparison_level_library as cll
import splink.comparison_library as cl
import yaml
from identity_splink import Recipe, _digits, _exact, _rare_words, _shared_words, run
from splink import block_on


def recipe(rules: Path, setup: str) -> Recipe:
    """What a user of Splink would state for the columns of a rules file."""
    stated = yaml.safe_load(rules.read_text(encoding="utf-8"))
    columns = set(stated["attributes"])
    return _person(columns, setup) if stated["entity"] == "person" else _organization(columns, setup)


def _clean(column: str) -> str:
    """Letters of all scripts in lower case, without accents."""
    return f"nullif(trim(regexp_replace(lower(strip_accents({column})), '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')), '')"


def _blocks(known: set[str], rules: tuple[tuple[str, ...], ...]) -> list[Any]:
    """The rules whose columns are there."""
    return [block_on(*rule) for rule in rules if all(any(name in part for name in known) for part in rule)]


def _names(columns: set[str]) -> dict[str, str]:
    if "full_name" not in columns:
        return {"given": _clean("forename"), "family": _clean("surname")}
    turned = "case when full_name like '%,%' then split_part(full_name, ',', 2) || ' ' || split_part(full_name, ',', 1) else full_name end"
    whole = _clean(turned)
    return {"given": f"split_part({whole}, ' ', 1)", "family": f"list_last(string_split({whole}, ' '))"}


def _address(known: set[str]) -> list[Any]:
    parts = [name for name in ("street", "postcode", "city") if name in known]
    if not parts:
        return []
    either = " and ".join(f"({name}_l is null or {name}_r is null)" for name in parts)
    levels: list[Any] = [cll.CustomLevel(either).configure(is_null_level=True)]
    for name in parts:
        levels.append(cll.ExactMatchLevel(name).configure(tf_adjustment_column=name))
        if name != "postcode":
            levels.append(cll.JaroWinklerLevel(name, 0.92))
    return [cl.CustomComparison(output_column_name="address", comparison_levels=[*levels, cll.ElseLevel()])]


def _birth() -> Any:
    year = "abs(try_cast(year_l as int) - try_cast(year_r as int))"
    levels: list[Any] = [
        cll.CustomLevel("year_l is null or year_r is null").configure(is_null_level=True),
        cll.CustomLevel("length(born_l) = 10 and born_l = born_r", "same date"),
        cll.CustomLevel("damerau_levenshtein(born_l, born_r) <= 1 and length(born_l) = 10", "one digit"),
        cll.CustomLevel(f"{year} = 0 and (length(born_l) < 10 or length(born_r) < 10)", "same year, one of them partial"),
        cll.CustomLevel(f"{year} <= 3 and (length(born_l) < 10 or length(born_r) < 10)", "near year, one of them partial"),
        cll.ElseLevel(),
    ]
    return cl.CustomComparison(output_column_name="born", comparison_levels=levels)


_PERSON_BLOCKS = (
    ("given", "family"), ("email",), ("phone", "family"), ("phone", "given"), ("street", "given"), ("family", "postcode"),
    ("given", "postcode"), ("family", "city"), ("born", "family"), ("born", "given"), ("substr(given,1,3)", "substr(family,1,4)", "city"),
    ("family", "employer"), ("given", "employer"), ("substr(given,1,2)", "substr(family,1,3)", "country"), ("year", "family"),
)  # fmt: skip
_PERSON_SURE = (("email", "family"), ("given", "family", "phone"), ("given", "family", "born"), ("given", "family", "street"),
                ("given", "family", "employer"))  # fmt: skip


def _person(columns: set[str], setup: str) -> Recipe:
    stated = _names(columns) | {"email": "nullif(lower(trim(email)), '')", "phone": _digits("phone", 9), "born": "birth_date"}
    stated |= {
        "year": "nullif(regexp_extract(birth_date, '(1[5-9]|20)[0-9][0-9]', 0), '')",
        "street": _clean("street"),
        "city": _clean("city"),
    }
    stated |= {"postcode": "nullif(upper(trim(postcode)), '')", "country": _clean("country"), "employer": _clean("employer")}
    needs = {"born": "birth_date", "year": "birth_date"}
    stated = {name: text for name, text in stated.items() if name in ("given", "family") or needs.get(name, name) in columns}
    known = set(stated)
    stated["whole"] = f"{stated['given']} || ' ' || {stated['family']}"
    if setup == "joined":
        comparisons = [cl.ForenameSurnameComparison("given", "family", forename_surname_concat_col_name="whole")]
    else:
        comparisons = [cl.NameComparison(name).configure(term_frequency_adjustments=True) for name in ("given", "family")]
    comparisons += [_exact(name) for name in ("email", "phone", "country") if name in known]
    comparisons += [cl.JaroWinklerAtThresholds("employer", [0.9]).configure(term_frequency_adjustments=True)] if "employer" in known else []
    comparisons += [_birth()] if "born" in known else []
    few = len(known) <= 3  # no column tells people of one name apart, so that each part of a name has to find and to teach
    blocking = [*_blocks(known, _PERSON_BLOCKS), "l.given = r.family and l.family = r.given"]
    training = _blocks(known, (("email",), ("phone",), ("born",), ("employer", "family")))[:2]
    return Recipe(
        columns=stated,
        blocking=[*blocking, *([block_on("family"), block_on("given", "substr(family,1,2)")] if few else [])],
        comparisons=comparisons + _address(known),
        deterministic=_blocks(known, _PERSON_SURE) or [block_on("given", "family", *(["city"] if "city" in known else []))],
        recall=0.7,
        training=[block_on("family"), block_on("given")] if few else [*training, block_on("given", "family")],
    )


_ORGANIZATION_BLOCKS = (
    ("name",), ("site",), ("phone",), ("street", "city"), ("rarest", "second"), ("postcode", "rarest"), ("substr(name,1,6)", "city"),
    ("rarest", "country"),
)  # fmt: skip


def _organization(columns: set[str], setup: str) -> Recipe:
    stated = {"name": _clean("name"), "phone": _digits("phone", 9), "city": _clean("city"), "street": _clean("street"),
              "postcode": "nullif(upper(trim(postcode)), '')", "country": _clean("country")}  # fmt: skip
    stated = {name: text for name, text in stated.items() if name in columns}
    if "website" in columns:
        stated["site"] = "nullif(regexp_extract(lower(website), '^(?:https?://)?(?:www\\.)?([^/]+)', 1), '')"
    known = {*stated, "rarest", "second"}
    name = (
        _shared_words() if setup == "apart" else cl.JaroWinklerAtThresholds("name", [0.95, 0.88]).configure(term_frequency_adjustments=True)
    )
    comparisons = [name, *(_exact(one) for one in ("site", "phone", "postcode", "country") if one in known)]
    comparisons += [cl.JaroWinklerAtThresholds("street", 0.9)] if "street" in known else []
    return Recipe(
        columns=stated, blocking=_blocks(known, _ORGANIZATION_BLOCKS), comparisons=comparisons,
        deterministic=_blocks(known, (("site", "name"), ("phone", "name"), ("name", "street"))) or [block_on("name")], recall=0.6,
        training=_blocks(known, (("site",), ("phone",)))[:2] or [block_on("rarest")], prepare=_rare_words("name"),
    )  # fmt: skip


if __name__ == "__main__":
    run(recipe(Path(sys.argv[2]), sys.argv[1]), *(Path(argument) for argument in sys.argv[3:6]))
