"""What tells a published lookup that can be asked from one that another version or other rules made. Imports nothing heavy."""

from __future__ import annotations

import hashlib

from spine.core.entities import Entity
from spine.gold.schema import LOOKUP
from spine.identity.learning.model import ENGINE

FORMAT = 1  # raise it when features or keys of the same values are written differently


def stamp_of(entity: Entity, model_version: int) -> str:
    """Changes whenever stored features and keys cannot be compared with the former ones."""
    assert entity.matching is not None
    text = "\x1f".join([str(ENGINE), str(FORMAT), str(model_version), entity.matching.model_dump_json(), repr(LOOKUP)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
