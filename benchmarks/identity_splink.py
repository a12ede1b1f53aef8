"""Splink 5 on DuckDB as its documentation recommends, as a process of its own.

`python benchmarks/identity_splink.py RECIPE RECORDS.csv CLUSTERS.parquet MATCHES.parquet`

Values are cleaned in SQL first (lower case, no accents, digits of telephones), blocking is many strict rules, comparisons come from the
library with term frequencies, u from random pairs, m from expectation maximisation over several blocks, clusters at 0.95. The recipes for
FEBRL and the historical persons are those of Splink's own example notebooks with address parts added; organisations follow its notebook
on businesses (rare words of the name, numbers of the address). Of several set-ups the one that served Splink best is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLD = 0.95
# Beyond it a set-up counts as one that does not end: copies of a thousand rows make every pair of them.
_SPILLED = "20GB"


@dataclass(frozen=True)
class Recipe:
    """What a user of Splink states for a data set. `columns` are SQL expressions over the CSV."""

    columns: dict[str, str]
    blocking: list[Any]
    comparisons: list[Any]
    deterministic: list[Any]
    recall: float
    training: list[Any]
    max_pairs: float = 1e7
    link: bool = False
    prepare: Callable[[duckdb.DuckDBPyConnection], None] = field(default=lambda _: None)


def _clean(column: str) -> str:
    return f"nullif(trim(regexp_replace(lower(strip_accents({column})), '[^a-z0-9]+', ' ', 'g')), '')"


def _digits(column: str, last: int) -> str:
    return f"nullif(right(regexp_replace({column}, '[^0-9]', '', 'g'), {last}), '')"


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


def _exact(name: str) -> Any:
    return cl.ExactMatch(name).configure(term_frequency_adjustments=True)


def _febrl(link: bool) -> Recipe:
    return Recipe(
        columns=_same("given_name surname date_of_birth soc_sec_id street_number address_1 suburb state postcode"),
        blocking=[
            block_on("given_name", "surname"), "l.given_name = r.surname and l.surname = r.given_name", block_on("date_of_birth"),
            block_on("soc_sec_id"), block_on("state", "address_1"), block_on("street_number", "address_1"), block_on("postcode"),
            block_on("suburb"), block_on("surname"), block_on("given_name"),
        ],
        comparisons=[
            cl.NameComparison("given_name"), cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=False),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]), _exact("street_number"),
            cl.JaroWinklerAtThresholds("address_1", [0.9]).configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("suburb", [0.9]).configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        ],
        deterministic=[block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth"),
                       "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth"],
        recall=0.9, training=[block_on("date_of_birth"), block_on("postcode")], link=link,
    )  # fmt: skip


def _historical() -> Recipe:
    names = "first_name surname dob birth_place postcode_fake occupation"
    return Recipe(
        columns=_same(names) | {"first_name_surname_concat": "first_name || ' ' || surname"},
        blocking=[
            block_on("substr(first_name,1,3)", "substr(surname,1,4)"), block_on("surname", "dob"), block_on("first_name", "dob"),
            block_on("postcode_fake", "first_name"), block_on("postcode_fake", "surname"), block_on("dob", "birth_place"),
            block_on("substr(postcode_fake,1,3)", "dob"), block_on("substr(postcode_fake,1,3)", "first_name"),
            block_on("substr(postcode_fake,1,3)", "surname"),
            block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)"),
        ],
        comparisons=[
            cl.ForenameSurnameComparison("first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"),
            cl.DateOfBirthComparison("dob", input_is_string=True), cl.PostcodeComparison("postcode_fake"),
            _exact("birth_place"), _exact("occupation"),
        ],
        deterministic=[block_on("first_name", "surname", "dob"),
                       block_on("substr(first_name,1,2)", "surname", "substr(postcode_fake,1,2)"), block_on("dob", "postcode_fake")],
        recall=0.6, training=[block_on("first_name", "surname"), block_on("dob")],
    )  # fmt: skip


def _inventors() -> Recipe:
    names = {"first": "first_name", "last": "last_name", "city": "city", "state": "state", "firm": "assignee"}
    return Recipe(
        columns={name: _clean(column) for name, column in names.items()},
        blocking=[
            block_on("first", "last"), block_on("last", "city"), block_on("last", "firm"),
            block_on("substr(first,1,3)", "substr(last,1,4)"),
        ],
        comparisons=[
            cl.NameComparison("first"), cl.NameComparison("last"), _exact("city"), _exact("state"),
            cl.JaroWinklerAtThresholds("firm", [0.9]).configure(term_frequency_adjustments=True),
        ],
        deterministic=[block_on("first", "last", "city"), block_on("first", "last", "firm")],
        recall=0.8, training=[block_on("first", "last"), block_on("city", "firm")],
    )  # fmt: skip


def _person() -> Recipe:
    """Separate names, one comparison for all of the address, and e-mail addresses that are equal or not.

    F1 at 100,000 and 1,000,000 records of the world: 0.86 and 0.86. With `EmailComparison`, which counts a mailbox made of the name as
    evidence besides the name: 0.84 and 0.64. With expectation maximisation over equal names as well: 0.83 and 0.58. With joined names and a
    comparison per part of the address, which counts a household several times: 0.72 at 100,000.
    """
    columns = {
        "given": _clean("given_name"), "family": _clean("family_name"), "email": "nullif(lower(trim(email)), '')",
        "phone": _digits("phone", 9), "born": "birth_date", "street": _clean("street"), "city": _clean("city"),
        "postcode": "nullif(upper(trim(postcode)), '')",
    }  # fmt: skip
    address: list[Any] = [
        cll.CustomLevel("(street_l is null or street_r is null) and (city_l is null or city_r is null)").configure(is_null_level=True),
        cll.ExactMatchLevel("street").configure(tf_adjustment_column="street"),
        cll.JaroWinklerLevel("street", 0.92),
        cll.ExactMatchLevel("postcode").configure(tf_adjustment_column="postcode"),
        cll.ExactMatchLevel("city").configure(tf_adjustment_column="city"),
        cll.ElseLevel(),
    ]
    return Recipe(
        columns=columns,
        blocking=[
            block_on("given", "family"), block_on("email"), block_on("phone", "family"), block_on("phone", "given"),
            block_on("street", "given"), block_on("family", "postcode"), block_on("given", "postcode"), block_on("family", "city"),
            block_on("born", "family"), block_on("born", "given"), block_on("substr(given,1,3)", "substr(family,1,4)", "city"),
            "l.given = r.family and l.family = r.given",
        ],
        comparisons=[
            cl.NameComparison("given"), cl.NameComparison("family"), _exact("email"),
            cl.DateOfBirthComparison("born", input_is_string=True), _exact("phone"),
            cl.CustomComparison(output_column_name="address", comparison_levels=address),
        ],
        deterministic=[block_on("email", "family"), block_on("given", "family", "phone"), block_on("given", "family", "born"),
                       block_on("given", "family", "street")],
        recall=0.7, training=[block_on("email"), block_on("phone", "family")],
    )  # fmt: skip


def _rare_words(name: str) -> Callable[[duckdb.DuckDBPyConnection], None]:
    """Words of the name with their share of all words, and the two rarest for blocking."""

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(f"""
            create or replace table records as
            with named as (select unique_id, list_distinct(regexp_split_to_array({name}, ' ')) as tokens from records),
                 word as (select unique_id, unnest(tokens) as token from named),
                 known as (select token, count(*)::float / (select count(*) from word) as rel_freq from word group by token),
                 listed as (
                     select unique_id, list(struct_pack(token := token, rel_freq := rel_freq) order by rel_freq, token) as words
                     from word join known using (token) group by unique_id
                 )
            select records.*, words, words[1].token as rarest, words[2].token as second from records left join listed using (unique_id)
        """)

    return prepare


def _shared_words(bounds: tuple[float, ...] = (1e-10, 1e-8, 1e-6, 1e-4)) -> Any:
    shares = "list_transform(list_intersect(words_l, words_r), w -> w.rel_freq::double)"
    product = f"list_reduce(list_concat({shares}, [1.0::double]), (p, q) -> p * q)"
    levels: list[Any] = [
        cll.CustomLevel("words_l is null or words_r is null", "no name").configure(is_null_level=True),
        cll.ExactMatchLevel("name"),
        *(cll.CustomLevel(f"{product} < {bound}", f"shared words rarer than {bound}") for bound in bounds),
        cll.JaroWinklerLevel("name", 0.88),
        cll.ElseLevel(),
    ]
    return cl.CustomComparison(output_column_name="name", comparison_levels=levels)


def _address(street: str) -> dict[str, str]:
    return {"street": _clean(street), "house": f"nullif(regexp_extract({street}, '([0-9]+)', 1), '')"}


def _chicago() -> Recipe:
    return Recipe(
        columns={"name": _clean("name"), "phone": _digits("phone", 7), "zip": "zip", "site": "nullif(lower(trim(website)), '')"}
        | _address("address"),
        blocking=[
            block_on("name"), block_on("street"), block_on("phone"), block_on("house", "zip"), block_on("house", "rarest"),
            block_on("house", "substr(name,1,3)"), block_on("rarest", "second"), block_on("substr(street,1,8)"),
        ],
        comparisons=[
            _shared_words(), cl.JaroWinklerAtThresholds("street", [0.95, 0.88]).configure(term_frequency_adjustments=True),
            _exact("house"), _exact("phone"), _exact("zip"),
        ],
        deterministic=[block_on("name", "street"), block_on("phone", "street"), block_on("name", "phone")],
        recall=0.6, training=[block_on("phone"), block_on("street")], prepare=_rare_words("name"),
    )  # fmt: skip


def _restaurants() -> Recipe:
    return Recipe(
        columns={"name": _clean("name"), "phone": _digits("phone", 10), "city": _clean("city"), "type": _clean("type")} | _address("addr"),
        blocking=[
            block_on("name"), block_on("street"), block_on("phone"), block_on("house", "city"), block_on("rarest"),
            block_on("substr(name,1,4)"), block_on("substr(phone,1,6)", "substr(name,1,1)"),
        ],
        comparisons=[
            _shared_words(), cl.JaroWinklerAtThresholds("street", [0.95, 0.88]), _exact("house"),
            cl.LevenshteinAtThresholds("phone", 1), _exact("city"),
        ],
        deterministic=[block_on("phone"), block_on("name", "city"), block_on("name", "street")],
        recall=0.8, training=[block_on("name"), block_on("phone")], link=True, prepare=_rare_words("name"),
    )  # fmt: skip


def _organization() -> Recipe:
    return Recipe(
        columns={"name": _clean("name"), "phone": _digits("phone", 9), "site": "nullif(lower(trim(website)), '')", "city": _clean("city"),
                 "postcode": "nullif(upper(trim(postcode)), '')"} | _address("street"),
        blocking=[
            block_on("name"), block_on("site"), block_on("phone"), block_on("street", "city"), block_on("rarest", "second"),
            block_on("postcode", "rarest"), block_on("substr(name,1,6)", "city"),
        ],
        comparisons=[
            _shared_words(), _exact("site"), _exact("phone"), cl.JaroWinklerAtThresholds("street", 0.9), _exact("postcode"),
        ],
        deterministic=[block_on("site", "name"), block_on("phone", "name"), block_on("name", "street")],
        recall=0.6, training=[block_on("site"), block_on("phone")], prepare=_rare_words("name"),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {
    "febrl3": lambda: _febrl(False), "febrl4": lambda: _febrl(True), "historical": _historical, "chicago": _chicago,
    "inventors": _inventors, "restaurants": _restaurants, "person": _person, "organization": _organization,
}  # fmt: skip


def _load(recipe: Recipe, records: Path) -> duckdb.DuckDBPyConnection:
    """A database with the cleaned records."""
    connection = duckdb.connect(config={"max_temp_directory_size": _SPILLED})
    connection.execute("SET threads = 2; SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
    columns = ", ".join(f"{expression} as {name}" for name, expression in recipe.columns.items())
    read = "read_csv(?, all_varchar = true, header = true)"
    connection.execute(f"create table records as select unique_id, source as source_dataset, {columns} from {read}", [str(records)])
    recipe.prepare(connection)
    return connection


def run(recipe: Recipe, records: Path, clusters: Path, matches: Path) -> None:
    """Reads the CSV, learns, scores, clusters and writes `record_id, cluster_id` and `left_id, right_id, probability`."""
    connection = _load(recipe, records)
    api = DuckDBAPI(connection=connection)
    settings = SettingsCreator(
        link_type="link_only" if recipe.link else "dedupe_only",
        blocking_rules_to_generate_predictions=recipe.blocking,
        comparisons=recipe.comparisons,
    )
    linker = Linker(_tables(api, connection, recipe.link), settings)
    linker.training.estimate_probability_two_random_records_match(recipe.deterministic, recall=recipe.recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=recipe.max_pairs)
    for block in recipe.training:
        linker.training.estimate_parameters_using_expectation_maximisation(block, estimate_without_term_frequencies=True)
    found = linker.inference.predict(threshold_match_probability=0.5)
    grouped = linker.clustering.cluster_pairwise_predictions_at_threshold(found, threshold_match_probability=THRESHOLD)
    connection.execute(f"copy (select unique_id as record_id, cluster_id from {grouped.physical_name}) to '{clusters}'")
    scored = f"select unique_id_l as left_id, unique_id_r as right_id, match_probability as probability from {found.physical_name}"
    connection.execute(f"copy ({scored}) to '{matches}'")


def _tables(api: DuckDBAPI, connection: duckdb.DuckDBPyConnection, link: bool) -> Any:
    if not link:
        return api.register(connection.table("records").project("* exclude (source_dataset)"))
    sources = [row[0] for row in connection.execute("select distinct source_dataset from records order by 1").fetchall()]
    parts = {source: connection.table("records").filter(f"source_dataset = '{source}'") for source in sources}
    return [api.register(part.project("* exclude (source_dataset)"), dataset_display_name=source) for source, part in parts.items()]


def reached(recipe: Recipe, records: Path, pairs: pa.Table) -> int:
    """How many of the `pairs` (`left_id`, `right_id`) the blocking rules reach."""
    connection = _load(recipe, records)
    connection.register("pairs", pairs)
    rules = [rule if isinstance(rule, str) else rule.get_blocking_rule("duckdb").blocking_rule_sql for rule in recipe.blocking]
    joined = "pairs join records l on l.unique_id = pairs.left_id join records r on r.unique_id = pairs.right_id"
    found = connection.execute(f"select count(*) from {joined} where {' or '.join(f'({rule})' for rule in rules)}").fetchone()
    assert found is not None
    return int(found[0])


if __name__ == "__main__":
    run(RECIPES[sys.argv[1]](), *(Path(argument) for argument in sys.argv[2:5]))
