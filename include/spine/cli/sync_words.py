"""The page `docs/syncs.md` and the schema of files in `include/syncs`, from the docstrings of their models: `make generate` writes them."""

from __future__ import annotations

from pathlib import Path

from spine.cli.source_words import entries, section
from spine.core.screen import say
from spine.core.settings import PROJECT
from spine.push.spec import Push
from spine.sources.schemas import FOLDER, schema_text

PAGE = PROJECT / "docs" / "syncs.md"
SCHEMA = FOLDER / "sync.schema.json"
_HEAD = """# The way back

A file `include/syncs/<name>.yaml` sends rows of Gold or Silver back to a system, or keeps two systems alike. It becomes the DAG
`push_<name>`: plan → compare → approve → send → confirm → report. `spine push` does the same from a command line.

Four files are there to be looked at and adapted: golden persons as leads in HubSpot, or as a table of PostgreSQL, won deals in a Google
Sheet, and contacts of two CRMs that are kept alike.

| written to | by | the Connection |
| --- | --- | --- |
| HubSpot, Salesforce | modules of these names, in batches | that of the source, whose login may write |
| Google Sheets | `google_sheets`: a sheet with a header, a row for each record | `auth` of the Connection's extra is one that may write |
| PostgreSQL | `kind: postgresql`: makes the table if there is none | `ipai_connector_<connector>`, as for a database that is read |
| any other API | the `write:` block of its source's file ([words](sources.md#writename)) | that of the source |

## What it keeps to

- **Only differences are sent.** What a system holds is known from its own Bronze where it is a source too, else from what was confirmed
  before (`spine.push_records`, under the tenant's row-level security). A push that would change nothing sends nothing.
- **Killed anywhere and run again, it ends the same.** Each change is in a journal before it leaves. What was under way is looked up by its
  key before it is sent again, and so is every record that would be made new. What was sent is seen there before it counts.
- **A refused record holds up no other.** It keeps the system's own words (`spine push show NAME RUN --failed`). What may pass another time
  is tried up to three times in a run and again in the next; other values are set aside until they change.
- **Nothing that we never wrote is emptied.** An empty field of ours clears one there only if the value there was ours.
- **A person decides about much.** Above `max_changes`, or where more than `deletes.max_share` of what was sent would be deleted (on either
  side, where both change), the task `approve` asks in Airflow; a command ends with APPROVAL_NEEDED until `--approve` is given.
- **What is not read is not gone.** Bronze keeps days (`SPINE_RETENTION`): a stream's record is gone where its source said so, or
  where a filter leaves it out. A table or a view holds all, so that what it lacks is gone.
- **Undo.** `spine push undo NAME RUN` sends back what stood there, except where somebody has changed it since. What was taken back is not
  sent again until our value changes. Runs can be undone for 30 days.
- **Two ways.** `direction: bidirectional` compares field by field with what both sides held when they last agreed. What comes back of our
  own write is no change, also if the system writes it in its own way (small letters, no spaces). Where both sides have changed a field,
  `conflict_resolution` decides; `manual` puts it before a person: `spine push conflicts`, `spine push decide`.

The Connection is the source's own, `ipai_connector_<connector>`, and its login must be allowed to write. PostgreSQL needs no file
in `include/sources`: say `kind: postgresql`.

Every word of such a file follows, made from the code by `make generate`. A word without a default may be left out, unless it is **needed**.
"""


def page() -> str:
    """The page as it is kept in the repository."""
    return "\n".join([_HEAD, *(section(at, entry, "A way back") for at, entry in entries(Push))])


def write(path: Path = PAGE, schema: Path = SCHEMA) -> tuple[Path, Path]:
    """Write the page and the schema; returns their paths."""
    path.write_text(page(), encoding="utf-8")
    schema.write_bytes(schema_text(Push))
    return path, schema


if __name__ == "__main__":
    for written in write():
        say(str(written))
