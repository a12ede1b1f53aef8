"""How a run of `spine match` comes by its model: it goes on with the former weights until the records have outgrown them."""

from __future__ import annotations

import pyarrow as pa

from spine.core.entities import MatchRules
from spine.identity.comparing.plan import Plan
from spine.identity.learning.growth import Basis, Learning, decide
from spine.identity.learning.model import ENGINE, Model
from spine.identity.learning.possible import fits
from spine.matching import state as match_state
from spine.matching.request import MatchRequest


def going_on(
    request: MatchRequest, rules: MatchRules, plan: Plan, table: pa.Table, state: match_state.State | None
) -> tuple[Model | None, Learning, Basis]:
    """The former model if there is one to go on from, how this run comes by its own, and what there is to learn from."""
    basis = Basis.of(table, rules.matching(), rules.source)
    model = None if state is None else state.model
    if state is None and request.relearn == "never" and request.previous is not None:
        model = match_state.pinned(request.previous, ENGINE)
        model = model if model is not None and fits(plan, model) else None
    then, counted = (None, None) if model is None else (model.learned_from, model.counted)
    altered = {} if state is None else state.altered()
    how = decide(request.relearn, model is None or fits(plan, model), then, counted, basis, altered)
    if state is None and how.way == "keep":  # nothing is known of the records that this model was for
        how = Learning("recount", "the former state does not belong to these clusters, rules or columns")
    return model, how, basis
