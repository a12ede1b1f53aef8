"""The language of `include/sources/<source>.yaml`: everything that is said about a source, a file for each group of words."""

from spine.sources.spec.auths import AnyAuth
from spine.sources.spec.budgets import Budget, RateLimit, Timeouts
from spine.sources.spec.changes import Changes, FirstToken
from spine.sources.spec.cursors import Cursor, Windows
from spine.sources.spec.deletes import Deletes
from spine.sources.spec.downloads import Download
from spine.sources.spec.fields import FieldList
from spine.sources.spec.found import Found
from spine.sources.spec.jobs import Job, JobRequest
from spine.sources.spec.partitions import Parent, Partition
from spine.sources.spec.requests import AnyPaging, Asking, Body, Later, Reading
from spine.sources.spec.source import RESERVED, TIER_SCHEDULE, TIER_STREAM, Source, Tier, load_source, source_names
from spine.sources.spec.streams import Stream
from spine.sources.spec.variables import Variable

__all__ = [
    "RESERVED", "TIER_SCHEDULE", "TIER_STREAM", "AnyAuth", "AnyPaging", "Asking", "Body", "Budget", "Changes", "Cursor",
    "Deletes", "Download", "FieldList", "FirstToken", "Found", "Job", "JobRequest", "Later", "Parent", "Partition", "RateLimit", "Reading",
    "Source", "Stream", "Tier", "Timeouts", "Variable", "Windows", "load_source", "source_names",
]  # fmt: skip
