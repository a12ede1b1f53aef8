"""Spark job: Bronze to Silver for one source. Arguments in, `spine` called, exit code out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spine.control.database import Database
from spine.core.settings import settings
from spine.lake.session import spark_session
from spine.pipeline.due import is_large
from spine.pipeline.job import run_job
from spine.pipeline.normalize import normalize_each


def main() -> int:
    """Run the job; 0 if every table of the source is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="name of the source, as its file in include/sources")
    parser.add_argument("--run-id", required=True, help="run that the written rows carry")
    parser.add_argument("--tenants", default="", help="comma-separated tenants; all if empty")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--renormalize", action="store_true", help="read all of Bronze again through the present mapping")
    mode.add_argument("--incremental", action="store_true", help="read what is new in Bronze (the default)")
    parser.add_argument("--result", type=Path, help="file for the result or the error, as JSON")
    given = parser.parse_args()

    def work() -> dict[str, Any]:
        tenants = [name for name in given.tenants.split(",") if name] or None
        database = Database(settings().postgres) if settings().postgres else None
        large = is_large(given.source, renormalize=given.renormalize)
        spark = spark_session(f"normalize {given.source}", large=large, alone=large)
        done = normalize_each(spark, given.source, given.run_id, tenants=tenants, renormalize=given.renormalize, database=database)
        return done.to_json()

    return run_job(work, given.result)


if __name__ == "__main__":
    raise SystemExit(main())
