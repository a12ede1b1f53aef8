"""Bronze to Silver for one source: map, judge every row, let the gate judge the whole, then write quarantine and MERGE once per table.

Safe to kill anywhere and to run again: a Silver commit holds its read position, quarantine rows are known by their hash, and a row that
is there already is not written again. Counts: rows_in = published + unchanged + quarantined + superseded + filtered; an array that a
mapping splits counts once per element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spine.control import ledger
from spine.control.ledger import Line
from spine.core.clock import now
from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError, ConservationFailed, QualityFailed, SpineError, together
from spine.core.failpoints import failpoint
from spine.core.names import bronze_table, history_table, quarantine_table, silver_table
from spine.lake import quarantine, silver
from spine.lake.delta_sql import table_at
from spine.lake.flat import FlatColumn, beyond_exact, columns_of, ensure_flat
from spine.lake.generations import swaps
from spine.lake.paths import table_uri
from spine.lake.reading import storage
from spine.lake.silver import Position
from spine.lake.tables import Tables, tables_for
from spine.normalize import flat
from spine.normalize.staging import ENVELOPE, Plan, canonical, elements_of, judged, newest, parts
from spine.pipeline.apart import Step, together_or_apart
from spine.pipeline.found import with_found
from spine.pipeline.histories import Versions
from spine.quality import gate
from spine.quality.profile import STAGED, Profile
from spine.quality.profiling import profiles, reason_counts
from spine.quality.report import Subject, Verdict, write_report
from spine.quality.rules import reasons
from spine.sources.spec import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation, SparkSession

    from spine.control.database import Database

WRITTEN = ("new", "changed", "removed")


@dataclass(frozen=True)
class Job:
    """One Silver table in one run; `renormalize` reads everything again. A stream's own table has `columns`, by what it sends."""

    spark: SparkSession
    source: Source
    entity: Entity
    run_id: str
    moment: datetime
    tenants: tuple[str, ...] | None = None
    renormalize: bool = False
    database: Database | None = None
    columns: tuple[FlatColumn, ...] = ()

    @property
    def silver(self) -> str:
        """URI of the Silver table."""
        return table_uri(silver_table(self.source.source, self.entity.entity))

    @property
    def quarantine(self) -> str:
        """URI of the quarantine table."""
        return table_uri(quarantine_table(self.source.source, self.entity.entity))

    def plans(self) -> list[Plan]:
        """What each of the source's streams of this entity becomes."""
        streams = [stream for stream in self.source.streams if stream.silver == self.entity.entity]
        return [
            Plan(self.source.source, stream.name, self.entity, stream.mapping, stream.deletes.mode, self.columns, stream.history)
            for stream in streams
        ]

    def histories(self) -> list[str]:
        """URIs of the tables that keep all versions."""
        return [table_uri(history_table(plan.source, plan.stream)) for plan in self.plans() if plan.history]

    @property
    def own_table(self) -> bool:
        """Whether it is the table of a stream without an entity."""
        return self.entity.entity not in self.source.entities


@dataclass(frozen=True)
class SilverResult:
    """What a run did to one Silver table, over all tenants; `published` is what it wrote, `version` what readers see now.

    `cleaned` counts rows of whose texts U+0000 was taken away, which PostgreSQL cannot hold.
    """

    rows_in: int
    published: int
    unchanged: int
    quarantined: int
    superseded: int
    filtered: int
    deleted: int
    version: int | None
    silver_table: str
    validation: dict[str, Any] | None = None
    cleaned: int = 0

    def to_json(self) -> dict[str, Any]:
        """The result as an XCom and `--json` hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Normalized:
    """What a run did to a source's Silver tables, by entity; `failures` are what was not published, by entity and tenant."""

    entities: dict[str, SilverResult]
    failures: Sequence[SpineError] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as the job's result file, an XCom and `--json` hold it; failures only if there are any."""
        found: dict[str, Any] = {"entities": {entity: found.to_json() for entity, found in self.entities.items()}}
        return found | ({"failures": [error.as_dict() for error in self.failures]} if self.failures else {})


def normalize(
    spark: SparkSession,
    source: str,
    run_id: str,
    *,
    tenants: Sequence[str] | None = None,
    renormalize: bool = False,
    database: Database | None = None,
) -> Normalized:
    """Bring every Silver table of a source up to date with Bronze, as `normalize_each` does, and raise at the end what failed.

    Raises QualityFailed, ConservationFailed, LakeError, ConfigError.
    """
    done = normalize_each(spark, source, run_id, tenants=tenants, renormalize=renormalize, database=database)
    if done.failures:
        raise together(done.failures)
    return done


@storage("Silver")
def normalize_each(
    spark: SparkSession,
    source: str,
    run_id: str,
    *,
    tenants: Sequence[str] | None = None,
    renormalize: bool = False,
    database: Database | None = None,
) -> Normalized:
    """Bring every Silver table of a source up to date with Bronze; what fails stops nothing but itself.

    A tenant whose rows of an entity fail, by the gate or by an error, keeps what it had, and the next run reads them again.
    Raises LakeError, ConfigError, and what failed for every tenant.
    """
    spec = with_found(source)
    chosen = tuple(tenants) if tenants is not None else None
    results: dict[str, SilverResult] = {}
    failures: list[SpineError] = []
    for name in spec.silvers:
        try:
            job = Job(spark, spec, subject_of(spec, name), run_id, now(), chosen, renormalize, database)
            results[name], refused = normalize_apart(job)
            failures += refused.values()
        except (ConservationFailed, ConfigError) as error:
            failures.append(error)
    return Normalized(results, failures)


def subject_of(source: Source, name: str) -> Entity:
    """What a Silver table of the source holds: the entity of that name, or the stream's own rows, whose fields are not known yet."""
    return load_entity(name) if name in source.entities else flat.entity_of(name, source.label, source.domain, ())


def fitted(job: Job, tables: Tables, bronze: Iterable[DataFrame]) -> Job:
    """The job of a stream's own table with the columns that these Bronze rows need, which the table has from now on."""
    if not job.own_table:
        return job
    table = table_at(job.silver)
    known = columns_of(table)
    seen: dict[str, frozenset[str]] = {}
    for rows in bronze:
        seen |= flat.atoms_in(rows)
    whole = [column.name for column in known if column.type == "integer" and seen.get(column.path, frozenset()) - {"integer", "long"}]
    beyond = [name for name in whole if table is not None and beyond_exact(table, name)]
    columns = flat.columns_for(known, seen, beyond)
    entity = flat.entity_of(job.entity.entity, job.source.label, job.source.domain, columns)
    ensure_flat(tables.spark, job.silver, entity, columns)
    return replace(job, entity=entity, columns=tuple(columns))


def normalize_apart(job: Job) -> tuple[SilverResult, dict[str, SpineError]]:
    """`normalize_entity` for all tenants together; where that fails, apart, so that the others' rows are in Silver."""
    step = Step(
        work=lambda tenants: normalize_entity(replace(job, tenants=None if tenants is None else tuple(tenants))),
        tenants=lambda: _tenants(job),
        answers=lambda: _answers(job.spark),
        where={"run": job.run_id, "source": job.source.source, "entity": job.entity.entity},
    )
    results, failures = together_or_apart(step, job.tenants)
    return sum_of(results), failures


def _answers(spark: SparkSession) -> bool:
    """False where Spark itself has gone, which is nobody's rows."""
    with suppress(Exception):
        return bool(spark.range(1).count() == 1)
    return False


def _tenants(job: Job) -> list[str]:
    """The tenants that have rows in Bronze, of those that the job is for."""
    places = [table_at(table_uri(bronze_table(plan.source, plan.stream))) for plan in job.plans()]
    found = {str(part["tenant_id"]) for table in places if table is not None for part in table.partitions()}
    return sorted(found if job.tenants is None else found & set(job.tenants))


def normalize_entity(job: Job) -> tuple[SilverResult, dict[str, QualityFailed]]:
    """Bring one Silver table up to date; also why the gate refused a tenant's rows. Raises ConservationFailed, LakeError."""
    table = table_at(job.silver)
    read = silver.position_of(table)
    if job.renormalize:
        read = replace(read, common={}, own={})
    heads = {plan.stream: silver.bronze_position(table_uri(bronze_table(plan.source, plan.stream))) for plan in job.plans()}
    due = {stream: head for stream, head in heads.items() if head is not None and any(found != head for found in read.everywhere(stream))}
    if not due:
        return _nothing(job, table.version() if table else None), {}
    gate.warm_up()
    places = {stream: table_uri(bronze_table(job.source.source, stream)) for stream in due}
    tables = tables_for(job.spark, (job.silver, *places.values(), *job.histories()))
    bronze = {}
    for stream, head in due.items():
        bronze[stream] = silver.read_bronze_for(tables, places[stream], ENVELOPE, stream, read, head, job.tenants)
    job = fitted(job, tables, bronze.values())
    staged = stage(job, tables, bronze)
    try:
        return _publish(job, staged, silver.position_of(table), due)
    finally:
        staged.release()


@dataclass(frozen=True)
class Staged:
    """Judged rows, computed once, the tables they came from, and the counters that saw them come in."""

    rows: DataFrame
    tables: Tables
    counters: list[Observation]

    def release(self) -> None:
        """Give the rows back."""
        self.tables.release(self.rows)

    def rows_in(self) -> int:
        """Rows that came in, counted where they were read; known after the first action."""
        return sum(int(counter.get["rows"]) for counter in self.counters)

    def cleaned(self) -> int:
        """Rows that came with U+0000 in a text; known after the first action."""
        return sum(int(counter.get["cleaned"]) for counter in self.counters)


def stage(job: Job, tables: Tables, bronze: dict[str, DataFrame], only: DataFrame | None = None) -> Staged:
    """Bronze rows by stream as judged rows of one entity; `only` names rows by tenant and quarantine id.

    Makes the Silver table if it is absent.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    table = silver.ensure_silver(job.spark, job.silver, job.entity)
    counts = [F.count(F.lit(1)).alias("rows"), F.count_if(F.contains("payload", F.lit("\\u0000"))).alias("cleaned")]
    columns = ("tenant_id", "record_ref", *silver.VERSION, "row_hash", "is_deleted", "stream", "record_id", "connection_id")
    seen = tables.read(job.silver, columns, table.version())
    counters, streams = [], []
    for plan in job.plans():
        if plan.stream not in bronze:
            continue
        plan = with_swaps(plan)
        counter = Observation()
        known = elements_of(seen, plan.stream, plan.swaps) if plan.split else None
        rows = parts(bronze[plan.stream], plan.split, known, plan.swaps)
        rows = canonical(rows if only is not None else rows.observe(counter, *counts), plan, lambda fields: reasons(job.entity, fields))
        streams.append(rows if only is None else rows.join(only, ["tenant_id", "quarantine_id"], "left_semi").observe(counter, *counts))
        counters.append(counter)
    union = streams[0]
    for other in streams[1:]:
        union = union.unionByName(other)
    return Staged(tables.once(judged(newest(union, job.entity, every=bool(job.histories())), seen)), tables, counters)


def _publish(job: Job, staged: Staged, read: silver.ReadUpTo, due: dict[str, Position]) -> tuple[SilverResult, dict[str, QualityFailed]]:
    found = profiles(staged.rows, job.entity, read.past)
    if not found:
        return _nothing(job, None), {}
    check_conservation(job, found, staged.rows_in())
    counts = reason_counts(staged.rows) if any(profile.outcomes["quarantined"] for profile in found) else {}
    validation, refused = _ask_gate(job, found, counts)
    found = [profile for profile in found if profile.tenant_id not in refused]
    tenants = [profile.tenant_id for profile in found]
    if not tenants:
        return replace(result(job, []), validation=validation), refused
    if refused:
        staged = replace(staged, rows=staged.rows.where(staged.rows.tenant_id.isin(*tenants)))
    settled = any(tenant in counts for tenant in tenants) or (job.renormalize and table_at(job.quarantine) is not None)
    if settled:
        quarantine.settle(staged.tables, job.quarantine, staged.rows, job.run_id, job.moment, tenants)
    failpoint("normalize.after_quarantine")
    # Before the MERGE, since the retry of a run that died after it finds nothing left to count.
    if job.database is not None:
        for profile in found:
            ledger.record(job.database.of(profile.tenant_id), job.run_id, ledger_line(job, profile))
    moved = read.moved(due, list(refused), job.tenants)
    publish_rows(job, staged, found, silver.note_of(moved, {profile.tenant_id: profile.staged for profile in found}, job.run_id))
    return replace(result(job, found), validation=validation, cleaned=staged.cleaned()), refused


def with_swaps(plan: Plan) -> Plan:
    """The plan of a stream, knowing when its rows were last swapped for those of a new reading."""
    return replace(plan, swaps=swaps(table_uri(bronze_table(plan.source, plan.stream))))


def publish_rows(job: Job, staged: Staged, found: Iterable[Profile], note: dict[str, Any]) -> None:
    """MERGE what is new, changed or removed, in one commit with `note`; no commit where nothing is. Before it, versions are kept."""
    plans = [with_swaps(plan) for plan in job.plans() if plan.history]
    if plans:
        versions = Versions(job.entity, job.silver, job.run_id, job.moment, job.renormalize)
        versions.keep(staged.tables, plans, staged.rows, [profile.tenant_id for profile in found])
    if not any(profile.outcomes[outcome] for profile in found for outcome in WRITTEN):
        return
    failpoint("normalize.before_merge")
    source = silver.silver_rows(staged.rows.where(staged.rows.outcome.isin(*WRITTEN)), job.entity, job.run_id, job.moment)
    silver.merge_silver(staged.tables, job.silver, source, job.entity, tenants=[profile.tenant_id for profile in found], note=note)
    failpoint("normalize.after_merge")


def _ask_gate(job: Job, found: list[Profile], counts: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], dict[str, QualityFailed]]:
    """Judge each tenant's profile; the report, and why a rule of severity error refuses a tenant's rows."""
    judgements = gate.judge(job.entity, found, job.moment)
    verdicts = [Verdict(profile, judgements[profile.tenant_id], counts.get(profile.tenant_id, [])) for profile in found]
    report = write_report(Subject(job.run_id, job.source.source, job.entity, job.moment), verdicts)
    return report, {verdict.profile.tenant_id: _refusal(job, verdict, report["page"]) for verdict in verdicts if verdict.errors}


def _refusal(job: Job, verdict: Verdict, page: str) -> QualityFailed:
    failed = sorted({judgement.sentence() for judgement in verdict.errors})
    return QualityFailed(
        f"{silver_table(job.source.source, job.entity.entity)} failed {'; '.join(failed)}",
        hint="The tenant keeps what it had; the validation page shows why. Correct the source, the mapping or the rule, then run again",
        run=job.run_id,
        source=job.source.source,
        entity=job.entity.entity,
        tenant=verdict.profile.tenant_id,
        page=page,
    )


def ledger_line(job: Job, profile: Profile) -> Line:
    """A tenant's rows in the ledger; published are all that stand in Silver after the run, changed or not."""
    outcomes = profile.outcomes
    return Line(
        layer="silver",
        table_name=silver_table(job.source.source, job.entity.entity),
        rows_in=profile.rows_in,
        published=sum(outcomes[name] for name in (*STAGED, "removed")),
        quarantined=outcomes["quarantined"],
        superseded=outcomes["superseded"],
        filtered=outcomes["filtered"],
    )


def check_conservation(job: Job, found: Iterable[Profile], rows_in: int) -> None:
    """Compare the rows that were read with those that have an outcome. Raises ConservationFailed with layer and numbers."""
    lines = [ledger_line(job, profile) for profile in found]
    Line(
        layer="silver",
        table_name=silver_table(job.source.source, job.entity.entity),
        rows_in=rows_in,
        published=sum(line.published for line in lines),
        quarantined=sum(line.quarantined for line in lines),
        superseded=sum(line.superseded for line in lines),
        filtered=sum(line.filtered for line in lines),
    ).require_balance(job.run_id)


def result(job: Job, found: Sequence[Profile]) -> SilverResult:
    """The counts of a run over all tenants, and the version that readers see now."""
    total = Counter[str]()
    for profile in found:
        total.update(profile.outcomes)
    table = table_at(job.silver)
    return SilverResult(
        rows_in=sum(total.values()),
        published=sum(total[name] for name in WRITTEN),
        unchanged=total["unchanged"],
        quarantined=total["quarantined"],
        superseded=total["superseded"],
        filtered=total["filtered"],
        deleted=sum(profile.deleted for profile in found),
        version=None if table is None else table.version(),
        silver_table=silver_table(job.source.source, job.entity.entity),
    )


def sum_of(results: Sequence[SilverResult]) -> SilverResult:
    """What several parts of a run did to one table; the validation is the last one's."""
    names = ("rows_in", "published", "unchanged", "quarantined", "superseded", "filtered", "deleted", "cleaned")
    totals = {name: sum(getattr(found, name) for found in results) for name in names}
    versions = [found.version for found in results if found.version is not None]
    validations = [found.validation for found in results if found.validation is not None]
    return replace(results[-1], **totals, version=max(versions, default=None), validation=validations[-1] if validations else None)


def _nothing(job: Job, version: int | None) -> SilverResult:
    empty = result(job, [])
    return empty if version is None else replace(empty, version=version)
