"""Spark job: bring an entity's golden records up to date with Silver, or match the records of a file.

`match_identities.py --entity person --run-id RUN` resolves a declared entity of the lake; with RECORDS it is `spine match`, argument by
argument: `match_identities.py RECORDS --entity RULES.yaml --output CLUSTERS`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from spine.pipeline.job import run_job


def main() -> int:
    """Parse the arguments, do the work, leave the result file; the exit code says whether it went well."""
    parser = _parser()
    given = parser.parse_args()
    files = bool(given.records or given.source)
    wrong = _LAKE if files else _FILE
    strange = [f"--{name.replace('_', '-')}" for name in wrong if getattr(given, name) != parser.get_default(name)]
    if strange:
        parser.error(f"{', '.join(strange)} {'is not for a file of records' if files else 'needs RECORDS'}")
    if not files:
        if given.run_id is None:
            parser.error("--run-id is required without RECORDS")
        return run_job(lambda: _resolve(given), given.result)
    if given.output is None and not given.explain_plan:
        parser.error("--output is required with RECORDS")
    return run_job(lambda: _match(given), given.result)


_LAKE = ("run_id", "incremental")
_FILE = ("column", "labels", "output", "matches", "report", "threshold", "previous", "explain_plan", "engine", "json")


_FORMERLY = {"True": "always", "False": "auto"}  # what a trigger said before there were three ways


def _relearn(text: str) -> str:
    word = _FORMERLY.get(text, text)
    if word not in ("auto", "always", "never"):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, always, never")
    return word


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="*", metavar="RECORDS", help="CSV, JSON lines, Parquet, the folder of a Delta table")
    parser.add_argument("--entity", required=True, help="name of a declared entity; with RECORDS also a file of rules")
    parser.add_argument(
        "--relearn", type=_relearn, nargs="?", const="always", default="auto", metavar="auto|always|never",
        help="learn the weights anew once the records have outgrown them (auto), now, or never",
    )  # fmt: skip
    parser.add_argument("--result", type=Path, help="file for the result or the error, as JSON")
    lake = parser.add_argument_group("without RECORDS")
    lake.add_argument("--run-id", help="run that the written rows carry")
    lake.add_argument("--incremental", action="store_true", help="only what changed (the default)")
    file = parser.add_argument_group("with RECORDS, as `spine match`")
    file.add_argument("--source", action="append", metavar="NAME=FILE", help="a file under a name of its own")
    file.add_argument("--column", action="append", metavar="[SOURCE.]ATTRIBUTE=COLUMN", help="what holds an attribute, or record_id")
    file.add_argument("--labels", type=Path, metavar="FILE", help="known answers for the report")
    file.add_argument("--output", type=Path, metavar="CLUSTERS", help="gets record_id, cluster_id, confidence; .csv or .parquet")
    file.add_argument("--matches", type=Path, metavar="FILE", help="gets every scored pair; .csv or .parquet")
    file.add_argument("--report", type=Path, metavar="FILE.html", help="gets the report")
    file.add_argument("--threshold", type=float, help="pairs of at least this probability are one (default: that of the rules, or 0.85)")
    file.add_argument("--previous", type=Path, metavar="CLUSTERS", help="clusters of an earlier run, whose ids live on")
    file.add_argument("--explain-plan", action="store_true", help="print the rules and their numbers of pairs, and stop")
    file.add_argument("--engine", choices=("auto", "local", "spark"), default="auto", help="what makes and compares the pairs")
    file.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _resolve(given: argparse.Namespace) -> dict[str, Any]:
    from spine.control.database import Database
    from spine.core.settings import settings
    from spine.lake.session import spark_session
    from spine.pipeline.resolve import resolve_each

    database = Database(settings().postgres) if settings().postgres else None
    spark = spark_session(f"match_identities_{given.entity}")
    return resolve_each(spark, given.entity, given.run_id, relearn=given.relearn, database=database)


def _match(given: argparse.Namespace) -> dict[str, Any]:
    import orjson

    from spine.matching import run as job
    from spine.matching.request import MatchRequest
    from spine.matching.sources import Stated, asked

    records, rules = asked(given.records, given.entity, Stated(tuple(given.source or ()), tuple(given.column or ())))
    if given.explain_plan:
        text = job.explain_plan(records, rules)
        print(text, end="")
        return {"plan": text}
    request = MatchRequest(
        records, rules, given.output, given.matches, given.report, given.threshold, given.previous, given.engine, given.relearn,
        labels=given.labels,
    )  # fmt: skip
    result = job.match_records(request)
    if given.json:
        print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
    return result


if __name__ == "__main__":
    sys.exit(main())
