"""Everything that is known when the entities have their ids: the steps of a resolution, handed on to those that judge and write."""

from __future__ import annotations

from dataclasses import dataclass

from spine.identity.golden.dividing import Divided
from spine.identity.golden.former import Aligned, News
from spine.identity.golden.identifying import Identified
from spine.identity.golden.scope import Scope
from spine.identity.golden.stewards import Word
from spine.identity.golden.weighing import Weighed


@dataclass(frozen=True)
class Resolved:
    """What each step has found, in the order of the steps."""

    scope: Scope
    aligned: Aligned
    news: News
    word: Word
    weighed: Weighed
    divided: Divided
    identified: Identified
