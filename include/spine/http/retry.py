"""How often a request is tried again."""

from __future__ import annotations

from pydantic import Field

from spine.core.declarations import Strict


class Retry(Strict):
    """Retries of one HTTP request: exponential with full jitter, `base` and `cap` in seconds."""

    max_retries: int = Field(default=5, ge=0, le=20)
    base: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    cap: float = Field(default=300.0, ge=0, allow_inf_nan=False)
