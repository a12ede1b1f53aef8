"""The command line `spine`: the pipeline's own functions, without Airflow's scheduler. Starts quickly: heavy imports wait in functions."""

from __future__ import annotations


def main() -> None:
    """Entry point of the command `spine`."""
    from spine.cli.commands import app

    app(prog_name="spine")
