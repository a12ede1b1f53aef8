"""The tree of commands, and what a failure looks like: one line on stderr and an exit code a script can use."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from spine.cli import audit, auth, bronze, connector, cursor, identity, keys, look, match, push, quarantine, run, sources, steward, tenant
from spine.core.errors import AuthFailed, ConfigError, NothingToMatch, SpineError, SyncInProgress
from spine.core.screen import say

EXIT_CODES: tuple[tuple[type[SpineError], int], ...] = ((ConfigError, 2), (AuthFailed, 3), (SyncInProgress, 4), (NothingToMatch, 5))
WORK, LOOK, DECIDE, CARE = "Move data", "Look", "Decide who is who", "Take care"


class SpineGroup(TyperGroup):
    """Turns our errors into one line and an exit code; everything else is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit on a SpineError."""
        try:
            return super().invoke(ctx)
        except SpineError as error:
            say(error.line(_what_next(error)), err=True)
            raise typer.Exit(exit_code(error)) from None


def _what_next(error: SpineError) -> str:
    """Only Airflow's tasks are tried again by themselves."""
    if not error.retryable:
        return ""
    return f"Run it again in {error.retry_after:,.0f} s" if error.retry_after else "Run it again: nothing else does"


def exit_code(error: SpineError) -> int:
    """2 a mistake in specs or arguments, 3 refused credentials, 4 busy, 5 records of which no two can be one, 1 anything else."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


app = typer.Typer(
    cls=SpineGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # its tracebacks show local variables, which may be secrets
    add_completion=False,
    help="""Connected Data Spine: from vendor APIs to golden records.

    The same functions that the DAGs call, without the scheduler. Cursors and credentials are Airflow's own (Variables and Connections),
    so a sync from here and a DAG run go on from each other. The embedded PostgreSQL is started when it is needed.

    [bold]A first tour[/bold]

      spine validate
      spine sync people_files
      spine resolve person && spine publish person
      spine status
      spine query "SELECT given_name, family_name, record_count FROM gold_party_person LIMIT 5"

    Exit codes: 0 done, 1 failed, 2 a mistake in arguments or declarations, 3 credentials refused, 4 another run is busy.
    """,
)
app.command(rich_help_panel=WORK)(run.sync)
app.command(rich_help_panel=WORK)(run.normalize)
app.command(rich_help_panel=WORK)(run.resolve)
app.command(rich_help_panel=WORK)(run.unite)
app.command(rich_help_panel=WORK)(run.publish)
app.command(rich_help_panel=WORK)(match.match)
app.command(rich_help_panel=LOOK)(look.status)
app.command(rich_help_panel=LOOK)(look.query)
app.command(rich_help_panel=LOOK)(look.report)
app.command(rich_help_panel=LOOK)(look.validate)
app.command(rich_help_panel=LOOK)(identity.lookup)
app.command(rich_help_panel=LOOK)(identity.why)
app.command(rich_help_panel=LOOK)(identity.how)
app.command(rich_help_panel=LOOK)(steward.entity)
for command in (steward.review, steward.link, steward.unlink, steward.merge, steward.split, steward.undo, steward.overrides):
    app.command(rich_help_panel=DECIDE)(command)
app.command("auth", rich_help_panel=CARE)(auth.auth)
app.add_typer(push.app, name="push", rich_help_panel=WORK)
app.add_typer(sources.app, name="sources", rich_help_panel=CARE)
app.add_typer(connector.app, name="connector", rich_help_panel=CARE)
app.add_typer(tenant.app, name="tenant", rich_help_panel=CARE)
app.add_typer(keys.app, name="keys", rich_help_panel=CARE)
app.add_typer(cursor.app, name="cursor", rich_help_panel=CARE)
app.add_typer(quarantine.app, name="quarantine", rich_help_panel=CARE)
app.add_typer(bronze.app, name="bronze", rich_help_panel=CARE)
app.add_typer(audit.app, name="audit", rich_help_panel=CARE)
app.command(rich_help_panel=CARE)(run.maintain)
app.command(
    "airflow",
    rich_help_panel=CARE,
    add_help_option=False,  # `--help` is Airflow's own
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(run.airflow)
