"""Words for asynchronous jobs: order a result, wait for it, fetch it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import Duration, JmesPath
from spine.sources.spec.requests import Asking


class JobRequest(Asking):
    """A request of a job; `{job.…}` in it is what the vendor has said of the job.

    Example:
        path: /exports/{job.id}
    """


class Job(Strict):
    """A result that is ordered, waited for and then fetched by the stream's own request, in which `{job.…}` is what the vendor said of it.

    A job that was ordered is kept at once, so that a reading that goes on after a failure waits for it and orders no second one. Between
    the order and that a vendor can tell the same order by `{job.key}`, in a header for idempotency.

    Example:
        create: {method: POST, path: /exports, body: {json: {since: "{start}"}}, headers: {Idempotency-Key: "{job.key}"}}
        poll: {path: "/exports/{job.id}"}
        status: state
        done: [ready]
        failed: [error]
        cancel: {method: DELETE, path: "/exports/{job.id}"}
        files: parts[].url
    """

    create: JobRequest = Field(description="The request that orders it")
    poll: JobRequest = Field(description="The request that asks how it is")
    status: JmesPath = Field(default="status", description="JMESPath of its state in the answer")
    done: tuple[str, ...] = Field(min_length=1, description="States in which the result is there")
    failed: tuple[str, ...] = Field(default=("failed", "error", "cancelled", "canceled"), description="States in which there will be none")
    empty: tuple[str, ...] = Field(default=(), description="States in which there is a result without a record")
    every: Duration = Field(default=timedelta(seconds=10), gt=timedelta(), description="How long is waited between two questions")
    within: Duration = Field(default=timedelta(hours=1), gt=timedelta(), description="How long it may take; then it is cancelled")
    cancel: JobRequest | None = Field(default=None, description="The request that ends it")
    files: JmesPath | None = Field(
        default=None, description="JMESPath of the addresses of its results in the last answer; the stream's path is not asked then"
    )

    @model_validator(mode="after")
    def _states_are_apart(self) -> Job:
        found = [*self.done, *self.failed, *self.empty]
        lower = [state.lower() for state in found]
        twice = sorted({state for state in lower if lower.count(state) > 1})
        refuse(type(self), [(("failed",), f"{state!r} stands for two things") for state in twice])
        return self
