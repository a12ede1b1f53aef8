"""Learns a model without labels: u from random pairs, m by expectation maximisation over pattern counts, all on a few thousand rows.

Fellegi and Sunter 1969 with a third class besides matches and strangers: relatives and neighbours, who share surname, address and
telephone as a match does but neither forename, birth date nor e-mail. Without it a family becomes one person.
Each blocking rule trains the comparisons it does not itself use (its pairs agree on the others by construction).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.blocking import rules as blocking
from spine.identity.blocking.cuttings import Rule
from spine.identity.comparing.comparisons import pattern
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import derive
from spine.identity.comparing.words import words
from spine.identity.learning.counts import Counts, count_patterns
from spine.identity.learning.dependence import learn_follows
from spine.identity.learning.kin import Told, told_by_sources
from spine.identity.learning.model import Model, Terms
from spine.identity.learning.odds import histogram, posterior
from spine.identity.learning.possible import SHAPES, adapt, believing, rescale

Array: TypeAlias = Any  # numpy arrays of many element types
Coded = Mapping[str, tuple[Array, list[str]]]
RANDOM_PAIRS = 300_000
M_STRENGTH = 30.0
H_STRENGTH = 30.0
U_STRENGTH = 1_000.0
MOST_TERMS = 50_000
ROUNDS = 60
MANY = 500
SELDOM = 0.03
SELDOM_OF_LIKELY = 0.15  # some of the likely matches are a father and his namesake
SURE = 0.999
SLIPS = 3.0
LIKELY = 0.9
ENOUGH = 100
LEAST_MATCHES = 0.05  # per record
BY_CHANCE = 0.05  # of the pairs that share the only value there is


@dataclass(frozen=True)
class Tally:
    """How many records carry each of the `texts` (an Arrow array), and how many there are that carry one at all."""

    total: int
    texts: pa.Array
    count: pa.Array

    def shared(self) -> pa.Table:
        """The texts that several records carry."""
        table = pa.table({"text": self.texts, "count": self.count})
        return table.filter(pc.greater(table.column("count"), 1))


Tallies: TypeAlias = dict[tuple[str, int], Tally]


def tallies(plan: Plan, coded: Coded) -> Tallies:
    """Tallies of the words of the word-wise features (level 0), of the texts whose rarity counts (level of their comparison) and of shapes.

    The tallies of parts of the records add up to those of the whole.
    """
    found: Tallies = {}
    for feature in plan.features:
        if feature.worded:
            values, repeats = _repeats(coded[feature.name])
            pieces = derive(values, words)
            carried: Array = np.repeat(repeats, np.diff(pieces.bounds))
            found[feature.name, 0] = _tally(
                int(repeats.sum()), pa.array(pieces.names, pa.string()), np.bincount(pieces.columns, carried, len(pieces.names))
            )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for counted in pool.map(partial(_terms, coded), plan.comparisons):
            found |= counted
    return found


def _terms(coded: Coded, comparison: Comparison) -> Tallies:
    values, repeats = _repeats(coded[comparison.feature])
    found: Tallies = {}
    shapes = {SHAPES: comparison.shapes.of} if comparison.shapes else {}
    for level, texts_of in (dict(comparison.terms) | shapes).items():
        texts = texts_of(values)
        count = np.bincount(texts.codes, repeats, len(texts.distinct))[1:]  # the first is no text
        found[comparison.name, level] = _tally(int(count.sum()), texts.distinct[1:], count)
    return found


def _tally(total: int, texts: pa.Array, count: Array) -> Tally:
    return Tally(total, texts, pa.array(count.astype(np.int64)))


def _repeats(column: tuple[Array, list[str]]) -> tuple[list[str], Array]:
    codes, values = column
    return values, np.bincount(codes[codes >= 0], minlength=len(values))


def rarities(tallied: Tallies) -> dict[str, dict[str, float]]:
    """Per word-wise feature the weight of each word: log of how few records carry it; unlisted words weigh as the rarest."""
    found = {}
    for (name, level), tally in tallied.items():
        if level == 0:
            total, common = tally.total + 2, tally.shared().sort_by("text")
            weights = np.log(total / np.asarray(common.column("count")))
            found[name] = dict(zip(common.column("text").to_pylist(), weights.tolist(), strict=True)) | {"": float(np.log(total))}
    return found


def term_tables(tallied: Tallies) -> dict[str, dict[str, Terms]]:
    """Frequencies of the texts whose rarity a comparison's levels take into account, the MOST_TERMS most frequent of each."""
    tables: dict[str, dict[str, Terms]] = {}
    for (name, level), tally in tallied.items():
        if level > 0:
            shared = tally.shared().sort_by([("count", "descending"), ("text", "ascending")]).slice(0, MOST_TERMS)
            counts = dict(zip(shared.column("text").to_pylist(), shared.column("count").to_pylist(), strict=True))
            tables.setdefault(name, {})[str(level)] = Terms(tally.total, counts)
    return tables


def frequencies(plan: Plan, tallied: Tallies) -> dict[str, dict[str, Terms]]:
    """`term_tables` as they weigh beside the values' shapes."""
    tables = term_tables(tallied)
    rescale(plan, tables, shapes(tallied))
    return tables


def random_pairs(rows: int, seed: int = 1) -> tuple[Array, Array]:
    """Row numbers of random pairs, or of all pairs if there are few records."""
    if rows * (rows - 1) // 2 <= RANDOM_PAIRS:
        left, right = np.triu_indices(rows, 1)
        return left, right
    generator = np.random.default_rng(seed)
    left, right = generator.integers(0, rows, RANDOM_PAIRS), generator.integers(0, rows, RANDOM_PAIRS)
    return left[left != right], right[left != right]


def random_patterns(plan: Plan, coded: Coded, source: Array, rarity: Mapping[str, Mapping[str, float]]) -> Counts:
    """Patterns of `random_pairs` of records of which `source` tells where each is from."""
    left, right = random_pairs(len(source))
    found = pattern(plan, coded, left, right, rarity)
    return count_patterns(np.zeros(len(found), dtype=np.int64), found, source[left] == source[right])


def start(plan: Plan, coded: Coded, rows: int) -> Model:
    """What is known before any pair is compared: beliefs, rarity of words and values."""
    model = beliefs(plan, rows)
    tallied = tallies(plan, coded)
    model.rarity, model.terms = rarities(tallied), term_tables(tallied)
    adapt(plan, model, shapes(tallied))
    return model


def shapes(tallied: Tallies) -> dict[str, dict[str, int]]:
    """How many values have each shape, by comparison."""
    return {
        name: dict(sorted(zip(tally.texts.to_pylist(), tally.count.to_pylist(), strict=True)))
        for (name, level), tally in tallied.items()
        if level == SHAPES
    }


def finish(plan: Plan, coded: Coded, source: Array, begun: Model, candidates: Counts, version: int, repeated: int = 0) -> Model:
    """The model that `start` began, with the weights learned from the pattern counts of candidate pairs and of random pairs.

    Of the distinct records so many are `repeated`, and counted twice in `candidates`.
    """
    return conclude(plan, len(source) + repeated, begun, candidates, random_patterns(plan, coded, source, begun.rarity), version)


def conclude(plan: Plan, rows: int, begun: Model, candidates: Counts, strangers: Counts, version: int) -> Model:
    """`finish` for pattern counts that were made elsewhere."""
    model = learn(believing(plan, begun), blocking.make_rules(plan), rows, candidates, strangers)
    model.rarity, model.terms, model.heavy, model.version = begun.rarity, begun.terms, begun.heavy, version
    return model


def learn(plan: Plan, rules: Sequence[Rule], rows: int, candidates: Counts, strangers: Counts) -> Model:
    """The model of `rows` records from the pattern counts of candidate pairs and of random pairs."""
    model = beliefs(plan, rows)
    digits, random_digits = plan.digits(candidates.pattern), plan.digits(strangers.pattern)
    lonely = not any(_trains(plan, rule) for rule in rules)
    for again in (False, True, True):
        told = told_by_sources(plan, rules, model, digits, candidates, strangers, lonely) if again else {}
        matched = posterior(plan, model, random_digits)[0]
        _learn_u(plan, model, random_digits, strangers.count * (1 - matched))
        if lonely:
            _trust_sameness(plan, model, digits, candidates, rows)
        _learn_m(plan, rules, model, digits, candidates, told)
        if lonely:
            _learn_beside_names(plan, model, digits, candidates)
        _judge(plan, rules, model, digits, candidates)
        _monotone(plan, model, told)
        learn_follows(plan, rules, model, digits, candidates)
        _learn_shares(plan, model, digits, candidates.count, rows)
    return model


def beliefs(plan: Plan, rows: int) -> Model:
    """The model before any data is seen: what the comparisons believe, and one partner per record."""
    model = Model(rows, 0.0, 0.0, {}, {}, {})
    for comparison in plan.comparisons:
        m, u = np.asarray(comparison.m), np.asarray(comparison.u)
        model.m[comparison.name], model.u[comparison.name] = (m / m.sum()).tolist(), (u / u.sum()).tolist()
    _relate(plan, model, {})
    model.prior = _odds(plan.matching.prior or 1 / max(100.0, rows))
    model.related = _odds(1 / max(100.0, rows))
    return model


def _odds(share: float) -> float:
    return float(np.log2(share / (1 - share)))


def _relate(plan: Plan, model: Model, told: Mapping[str, Told]) -> None:
    """Sets h: shared comparisons as among matches, the others as among strangers but for a floor (twins, a father's namesake) and
    for what sources tell of relatives."""
    for comparison in plan.comparisons:
        m, u = np.asarray(model.m[comparison.name]), np.asarray(model.u[comparison.name])
        if comparison.related is None:
            model.h[comparison.name] = m.tolist()
        else:
            floors = np.asarray(comparison.related) if comparison.related else np.zeros(len(u))
            h = np.maximum(u, floors)
            if seen := told.get(comparison.name):
                h = np.maximum(h, seen.relatives / (seen.relatives.sum() + H_STRENGTH))
            h[-1] = max(1e-6, 1 - h[:-1].sum())
            model.h[comparison.name] = (h / h.sum()).tolist()


def _learn_u(plan: Plan, model: Model, digits: Array, weights: Array) -> None:
    for place, comparison in enumerate(plan.comparisons):
        if comparison.fixed:
            continue
        belief = np.asarray(comparison.u) / sum(comparison.u)
        seen = histogram(digits[:, place], weights, comparison.size) + U_STRENGTH * belief
        model.u[comparison.name] = (seen / seen.sum()).tolist()


def _trust_sameness(plan: Plan, model: Model, digits: Array, candidates: Counts, rows: int) -> None:
    """Where nothing else tells matches from strangers (one column), shared values are believed to be matches, unless many records carry
    them: counted among strangers they would weigh so little that nothing matched."""
    shared = {
        comparison.name: float(candidates.count[digits[:, place] == 1].sum())
        for place, comparison in enumerate(plan.comparisons)
        if comparison.weighs and not comparison.fixed and 1 in comparison.terms
    }
    shared = {name: count for name, count in shared.items() if count}
    for comparison in (one for one in plan.comparisons if one.name in shared):
        u = np.asarray(model.u[comparison.name])
        least = U_STRENGTH * comparison.u[0] / sum(comparison.u) / (U_STRENGTH + RANDOM_PAIRS)
        if len(shared) == 1:
            least = min(least, BY_CHANCE * shared[comparison.name] / (rows * (rows - 1) / 2))
        u[0] = min(u[0], least)
        model.u[comparison.name] = (u / u.sum()).tolist()


def _trains(plan: Plan, rule: Rule) -> bool:
    """Whether a rule leaves two comparisons to tell matches by."""
    return sum(comparison.weighs and comparison.feature not in rule.features for comparison in plan.comparisons) >= 2


def _learn_m(plan: Plan, rules: Sequence[Rule], model: Model, digits: Array, candidates: Counts, told: Mapping[str, Told]) -> None:
    training = [
        (np.flatnonzero((candidates.mask >> number) & 1), rule.features) for number, rule in enumerate(rules) if _trains(plan, rule)
    ]
    training = [(rows, features) for rows, features in training if len(rows)]
    shares = [np.asarray([0.25, 0.25, 0.5]) for _ in training]
    beliefs_of = {one.name: M_STRENGTH * np.asarray(one.m) / sum(one.m) for one in plan.comparisons if not one.fixed}
    # What may exclude is judged apart: only there is a difference so dear that it must be known how often it errs.
    believed = {one.name: one for one in plan.comparisons if not one.outweighable}
    for _ in range(ROUNDS):
        seen = {name: counts + told[name].matches if name in told else counts.copy() for name, counts in beliefs_of.items()}
        for number, (rows, features) in enumerate(training):
            match, related = posterior(plan, model, digits[rows], features, shares[number])
            weights = candidates.count[rows]
            total = weights.sum()
            sums = np.asarray([(match * weights).sum() + 1, (related * weights).sum() + 1])
            shares[number] = np.r_[sums, max(total - sums.sum(), 0) + 1] / (max(total, sums.sum()) + 1)
            for place, comparison in enumerate(plan.comparisons):
                if comparison.name in seen and comparison.name not in told and comparison.feature not in features:
                    seen[comparison.name] += histogram(digits[rows, place], match * weights, comparison.size)
        change = 0.0
        for name, counts in seen.items():
            new = counts / counts.sum()
            if name in believed:
                new = _within_belief(new, np.asarray(believed[name].m), believed[name].farthest)
            change = max(change, float(np.abs(new - model.m[name]).max()))
            model.m[name] = new.tolist()
        _relate(plan, model, told)
        if change < 1e-4:
            break


def _learn_beside_names(plan: Plan, model: Model, digits: Array, candidates: Counts) -> None:
    """Learns what stands beside names that nothing else could be learned from, of the pairs that are likely matches by their names."""
    for place, comparison in enumerate(plan.comparisons):
        if comparison.names or comparison.fixed:
            continue
        match = posterior(plan, model, digits, frozenset([comparison.feature]))[0]
        seen = histogram(digits[:, place], candidates.count * (match >= LIKELY), comparison.size)
        seen = seen + M_STRENGTH * np.asarray(comparison.m) / sum(comparison.m)
        model.m[comparison.name] = (seen / seen.sum()).tolist()


def _within_belief(m: Array, belief: Array, farthest: float) -> Array:
    """Chances that give the odds of agreeing at most so much, level for level, at most `farthest` times what is believed.

    Colleagues, siblings or branches may outnumber the matches: what would be learned from them is no slip of the pen any more.
    """
    tails = _tails(belief / belief.sum())
    odds = farthest * tails / np.maximum(1 - tails, 1e-12)
    tails = np.minimum(_tails(m), np.r_[1.0, (odds / (1 + odds))[1:]])
    return -np.diff(np.r_[tails, 0.0])


def _tails(chances: Array) -> Array:
    """The chance of each level or less agreement."""
    return np.cumsum(chances[::-1])[::-1]


def _judge(plan: Plan, rules: Sequence[Rule], model: Model, digits: Array, candidates: Counts) -> None:
    """Learns what may exclude a pair from those alone that are sure matches without it, since a few relatives among thousands of
    likely matches would speak as much as all slips of the pen. Where nothing else makes a pair sure, what all pairs taught remains.

    Unreliable is what differs in too large a share of many pairs. Who errs often errs by little, too: where slips are no more frequent than
    beside strangers, the pairs that differ are strangers, who pass for matches only because the same was counted twice."""
    model.unreliable = []
    for place, comparison in enumerate(plan.comparisons):
        if not comparison.outweighable or comparison.fixed:
            continue
        apart = sum(1 << number for number, rule in enumerate(rules) if comparison.feature not in rule.features)
        rows = np.flatnonzero((candidates.mask & apart != 0) & (digits[:, place] > 0))
        match = posterior(plan, model, digits[rows], frozenset([comparison.feature]))[0]
        counts = histogram(digits[rows, place], candidates.count[rows] * (match >= SURE), comparison.size)
        sure, seldom = counts.sum() >= ENOUGH, SELDOM
        if not sure:
            counts, seldom = histogram(digits[rows, place], candidates.count[rows] * match, comparison.size), SELDOM_OF_LIKELY
        if not _erring(counts, np.asarray(model.u[comparison.name])):
            counts[-1] = 0.0
        if sure:
            learned = counts + M_STRENGTH * np.asarray(comparison.m) / sum(comparison.m)
            model.m[comparison.name] = (learned / learned.sum()).tolist()
        if counts.sum() > MANY and counts[-1] > seldom * counts.sum():
            model.unreliable.append(comparison.name)


def _erring(counts: Array, u: Array) -> bool:
    """Whether the level next to sameness is clearly more frequent, beside the last, than it is among strangers."""
    return len(counts) < 3 or bool(counts[1] > SLIPS * counts[-1] * u[1] / u[-1])


def _monotone(plan: Plan, model: Model, told: Mapping[str, Told]) -> None:
    """Makes every learned comparison's weight fall from agreement to disagreement by pooling neighbours that do not."""
    for comparison in (comparison for comparison in plan.comparisons if not comparison.fixed):
        m, u = np.asarray(model.m[comparison.name]), np.asarray(model.u[comparison.name])
        groups: list[list[int]] = []
        for level in range(len(m)):
            groups.append([level])
            while len(groups) > 1 and m[groups[-1]].sum() / u[groups[-1]].sum() > m[groups[-2]].sum() / u[groups[-2]].sum():
                groups[-2:] = [groups[-2] + groups[-1]]
        for group in groups:
            m[group] = u[group] * m[group].sum() / u[group].sum()
        model.m[comparison.name] = m.tolist()
    _relate(plan, model, told)


def _learn_shares(plan: Plan, model: Model, digits: Array, count: Array, rows: int) -> None:
    """Prior odds of a match and of a relation between two random records, so that they agree with the posteriors they lead to."""
    total = rows * (rows - 1) / 2
    for _ in range(ROUNDS):
        match, related = posterior(plan, model, digits)
        before = model.prior, model.related
        # One match in a hundred pairs is believed of a handful of records; thousands of records speak for themselves.
        if plan.matching.prior is None:
            matches = max((match * count).sum(), LEAST_MATCHES * rows)
            model.prior = _odds(min(0.5, (matches + 1) / (total + 100)))
        model.related = _odds(min(0.5, ((related * count).sum() + 0.5) / (total + 100)))
        if abs(model.prior - before[0]) < 1e-4 and (plan.matching.prior is None or abs(model.related - before[1]) < 1e-4):
            break
