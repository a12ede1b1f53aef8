"""What an operator reads on a DAG's page: what it does, and what to do when it fails."""

from __future__ import annotations

from collections.abc import Sequence

from spine.core.entities import Entity
from spine.core.names import bronze_table, connection_id, quarantine_table, silver_table
from spine.push.spec import Push
from spine.sources.spec import Source

_FAILURES = """
### When it fails

The failed task's log ends with one line `[CODE] what, where. What to do.`

| code | what it means | what to do |
| --- | --- | --- |
| CONNECTOR_AUTH_FAILED | the source refused our credentials | renew the secret in the Connection, then clear the failed task |
| CONNECTOR_RATE_LIMITED | the source's limit is used up | nothing: it retries when the server allows |
| SOURCE_UNAVAILABLE, CIRCUIT_OPEN | network, time-out or 5xx | nothing at first: it retries with growing delays |
| SOURCE_TOO_LARGE | a stream has no end, or more than its `limits` | see which; raise the limit, then clear the task |
| STREAM_STOPPED | the stream was not read to its end in its time | nothing: the next run goes on; clear the task to go on now |
| SCHEMA_MISMATCH | a field that the spec needs is gone | compare the source's fields with the spec, adjust the mapping |
| SYNC_IN_PROGRESS | another run holds this connection (scheduled runs and backfills wait) | see who holds it with `spine status` |
| QUALITY_FAILED | the gate refused the data; readers keep the old version | open *Validation* on the `normalize` task |
| CONSERVATION_FAILED | rows went missing between layers | keep the run and see docs/operations.md |

Every task may be cleared and run again: a retry goes on from the last committed page and never doubles a row.
More: docs/operations.md.
"""


def sync_doc(source: Source) -> str:
    """Markdown for the page of `sync_<source>`."""
    rows = "\n".join(
        f"| {stream.name} | `{bronze_table(source.source, stream.name)}` | `{silver_table(source.source, stream.silver)}` |"
        f" `{quarantine_table(source.source, stream.silver)}` |"
        for stream in source.streams
    )
    return f"""## {source.label} → Bronze → Silver

{source.description}

{_account(source)}

**Trigger** with *mode* `incremental` (from the saved cursor), `full` (everything, then sets the cursor) or
`renormalize` (no extraction: Silver again from Bronze).
**Backfill** reads exactly the chosen intervals and leaves the cursor alone. A *dry run* reads and counts, and writes nothing.

| stream | Bronze | Silver | quarantine |
| --- | --- | --- | --- |
{rows}
{_FAILURES}"""


def push_doc(push: Push) -> str:
    """Markdown for the page of `push_<name>`."""
    there = push.destination
    rows = "\n".join(f"| `{name}` | `{field.to}` | {field.direction} |" for name, field in there.mapping.items())
    state = "" if push.enabled else "\n**Not enabled**: say `enabled: true` in its file.\n"
    return f"""## {push.label}: {push.source.object} → {there.connector}, {there.object}

{push.description}
{state}
**Needs the Connection** `{connection_id(there.connector)}`. Only what differs is sent; a run that changes nothing sends nothing.
Above {push.max_changes:,} changes, or where more than {push.deletes.max_share:.0%} of what was sent would be deleted, `approve` waits for a
person. **Trigger** with *undo* and the id of a run takes that run back.

| ours | there | direction |
| --- | --- | --- |
{rows}
{_FAILURES}
PUSH_FAILED: some records were not taken; `spine push show` has the system's own words. APPROVAL_NEEDED: a person has said no.
"""


def _account(source: Source) -> str:
    """Which Connection the source needs, and what it has to hold."""
    name = connection_id(source.source)
    if source.kind == "files":
        return (
            f"**Needs the Connection** `{name}`, which has the drop's folder, `s3://…` prefix or `sftp://…` address. "
            "Leave this DAG paused until it is there."
        )
    fields = {"host": "Address", **source.auth.asked_for, **{f"extra.{name}": one.description for name, one in source.variables.items()}}
    wanted = ", ".join(f"`{field}` ({label})" if label else f"`{field}`" for field, label in fields.items())
    usual = f" The address may be left out: it is `{source.host}`." if source.host else ""
    others = f" `auth` in the extra chooses another way to sign: {', '.join(source.other_auths)}." if source.other_auths else ""
    return (
        f"**Needs the Connection** `{name}` (of further tenants `{name}__<tenant>`). Leave this DAG paused until it is there: "
        f"nothing is asked of anybody before. It holds {wanted}.{usual}{others} `spine connector test {source.source}` tries it."
    )


def resolve_doc(entity: Entity) -> str:
    """Markdown for the page of `resolve_<entity>`."""
    return f"""## {entity.label}: Silver → Gold → PostgreSQL

Finds which source records are the same {entity.label.lower()}, keeps their ids, chooses golden values and publishes them.
Runs whenever a Silver table of this entity has a new version; without changes it writes nothing.

Reads every Silver table of `{entity.entity}`; writes `{entity.gold_table}` and the `gold_identity_*` tables;
publishes the views `gold.{entity.entity}` and `gold.{entity.entity}_sources`.
Weights are learned anew by themselves once there are half as many records again, or records of another kind;
*relearn* `always` does so now, `never` keeps them.
{_FAILURES}"""


def unite_doc(domain: str, entities: Sequence[Entity]) -> str:
    """Markdown for the page of `unite_<domain>`."""
    ids = {entity.entity: ", ".join(f"`{reference.column}`" for reference in entity.references) or "—" for entity in entities}
    rows = "\n".join(f"| {one.label} | `{one.gold_table}` | `gold.{one.entity}` | {ids[one.entity]} |" for one in entities)
    return f"""## {domain}: Silver → Gold → PostgreSQL, without identity

Gold has the living records of all sources, with where each came from and the ids of the golden records that it refers to, and is published.
Runs whenever a Silver table of the domain has a new version, or golden records have changed; without changes it writes nothing.

| entity | Gold | view | ids of golden records |
| --- | --- | --- | --- |
{rows}
{_FAILURES}"""


WATCH_DOC = f"""## Late runs, ending credentials, notifications

Compares each source's latest scheduled run with its tier (critical 15 minutes, standard 2 hours, best_effort 24 hours after it was due),
looks at the day `expires` in the extra of each Connection, and hands new events to the notifiers of `include/notifiers.yaml`.
Ends analysts' sessions in PostgreSQL that are beyond `SPINE_ANALYST_LIMITS`, and looks whether the audit logs go on where they ended.
{_FAILURES}"""

MAINTAIN_DOC = f"""## Care of the lake

Compacts small files, archives Bronze older than 30 days and then removes it, prunes Silver by its retention, vacuums.
Gold is never deleted.
`verify_audit` recomputes every tenant's audit log and compares it with the head that is kept in a Variable.
A *dry run* says what would be done.
{_FAILURES}"""
