"""How often a request is tried again."""

from __future__ import annotations

from pydantic import Field

from spine.core.declarations import Strict


class Retry(Strict):
    """Retries of one HTTP request: exponential with full jitter, `base` and `cap` in seconds.

    Example:
        max_retries: 3
        cap: 60
    """

    max_retries: int = Field(default=5, ge=0, le=20, description="How often a request is made again")
    base: float = Field(default=2.0, ge=0, allow_inf_nan=False, description="Seconds at most before the first of them, then twice as long")
    cap: float = Field(default=300.0, ge=0, allow_inf_nan=False, description="Seconds at most; what asks for more ends the task until then")
