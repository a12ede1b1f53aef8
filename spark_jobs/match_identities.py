"""Spark job: bring an entity's golden records up to date with Silver."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from spine.lake.session import spark_session
from spine.pipeline.job import run_job
from spine.pipeline.resolve import resolve


def main() -> int:
    """Parse the arguments, resolve, leave the result file; the exit code says whether it went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entity", required=True)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--result", type=Path)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--relearn", action="store_true", help="learn the weights anew and match everything again")
    mode.add_argument("--incremental", action="store_true", help="only what changed (the default)")
    arguments = parser.parse_args()

    def work() -> dict[str, Any]:
        session = spark_session(f"match_identities_{arguments.entity}")
        return resolve(session, arguments.entity, arguments.run_id, relearn=arguments.relearn)

    return run_job(work, arguments.result)


if __name__ == "__main__":
    sys.exit(main())
