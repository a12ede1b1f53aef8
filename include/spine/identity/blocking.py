"""Which pairs are worth a comparison: rules as key expressions chosen from attribute kinds, each key a 64-bit integer per record.

A pair is owned by the first rule that yields it. A key with too many records is split by a second key; what is still too many is
dropped and named. Which keys those are is decided when the model is learned, so that later runs yield the same pairs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jellyfish
import numpy as np

from spine.identity import standardize, vocabulary
from spine.identity.comparisons import Plan
from spine.identity.standardize import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
Coded = Mapping[str, tuple[Array, list[str]]]
log = logging.getLogger(__name__)
PAIRS_PER_RECORD = 6
SMALL_BLOCK = 12
LARGEST_BLOCK = 2_000
CHUNK = 1_000_000


@dataclass(frozen=True)
class Part:
    """Texts that one value of a feature contributes to a key."""

    name: str
    feature: str
    function: Callable[[str], Sequence[str]] = field(compare=False)
    most: int = 1


@dataclass(frozen=True)
class Rule:
    """Records that share every part are compared. `split` divides a key with too many records."""

    name: str
    parts: tuple[Part, ...]
    split: Part | None = None

    @property
    def features(self) -> frozenset[str]:
        """Features that this rule's pairs agree on by construction."""
        return frozenset(part.feature for part in self.parts)


@dataclass
class Heavy:
    """Keys of one rule that are split, keys that are dropped, and how the dropped ones read (with their number of records)."""

    split: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def _name_words(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    found = [word for word in f"{surname} {forename}".split() if len(word) > 1]
    groups = vocabulary.NICKNAMES.get(forename.split(" ")[0], frozenset())
    return list(dict.fromkeys([*found[:4], *(f"#{group}" for group in sorted(groups)[:2])]))


def _all_words(value: str) -> list[str]:
    found = sorted(set(re.split(rf"[ {SEP}]", value)) - {""})
    return [" ".join(found)] if len(found) > 1 and any(len(word) > 1 for word in found) else []


def _sounds(value: str) -> list[str]:
    found = sorted({jellyfish.metaphone(word) for word in re.split(rf"[ {SEP}]", value) if len(word) > 1} - {""})
    return [" ".join(found)] if len(found) > 1 else []


def _initial_and_sound(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return [f"{forename[0]} {jellyfish.metaphone(surname.split(' ')[-1])}"] if forename and surname else []


def _initial(value: str) -> list[str]:
    return [value[0]] if not value.startswith(SEP) else []


def _initials(value: str) -> list[str]:
    forename, surname = value.split(SEP)
    return ["".join(sorted(forename[:1] + surname[:1]))] if forename and surname else []


def _field(place: int) -> Callable[[str], list[str]]:
    return lambda value: [found] if (found := value.split(SEP)[place]) else []


def _district(value: str) -> list[str]:
    return [standardize.postcode_district(code)] if (code := value.split(SEP)[2]) else []


def _house(value: str) -> list[str]:
    number, road, *_ = value.split(SEP)
    return [f"{number} {max(road.split(' '), key=len)}"] if number and road else []


def _one(value: str) -> list[str]:
    return [value]


def _organization_words(value: str) -> list[str]:
    return [word for word in dict.fromkeys(value.split()) if len(word) > 1][:6]


def make_rules(plan: Plan) -> tuple[Rule, ...]:
    """The rules that the plan's features allow, the most telling first."""
    rules = [Rule(f"same {feature.name}", (Part(feature.name, feature.name, _one),)) for feature in plan.of_kind("national_id")]
    words = Part("name word", "person name", _name_words, 6) if plan.feature("person name") else None
    for feature in plan.of_kind("email"):
        rules.append(Rule(f"same {feature.name}", (Part(feature.name, feature.name, _personal_mail),), words))
    for feature in plan.of_kind("phone"):
        rules.append(Rule(f"same {feature.name}", (Part(feature.name, feature.name, _tail),), words or _organization_part(plan)))
    rules += [
        Rule(f"same {feature.name}", (Part(feature.name, feature.name, _one),), _organization_part(plan)) for feature in plan.of_kind("url")
    ]
    if words:
        rules += _person_rules(plan, words)
    if organization := _organization_part(plan):
        rules += _organization_rules(plan, organization)
    return tuple(rules)


def _tail(value: str) -> list[str]:
    return [value[-7:]]


def _personal_mail(value: str) -> list[str]:
    return [] if standardize.is_role_mail(value) else [value]


def _organization_part(plan: Plan) -> Part | None:
    found = next((feature for kind in ("organization", "title") for feature in plan.of_kind(kind)), None)
    return Part("name word", found.name, _organization_words, 6) if found else None


def _address_parts(plan: Plan) -> dict[str, Part]:
    feature = plan.feature("postal address")
    if not feature:
        return {}
    cuts: dict[str, Callable[[str], Sequence[str]]] = {
        "house": _house, "postcode": _field(2), "house number": _field(0), "district": _district, "town": _field(3)
    }  # fmt: skip
    return {name: Part(name, "postal address", cut) for name, cut in cuts.items()}


def _person_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    dates = [feature.name for feature in plan.of_kind("date")][:1]
    initial = Part("initial", "person name", _initial)
    same_words = Part("all name words", "person name", _all_words)
    rules = [Rule("name word and birth date", (words, Part("date", name, _one))) for name in dates]
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("house", "postcode") if address]
    rules.append(Rule("all name words", (same_words,), address.get("district")))
    for name in dates:
        rules += [Rule(f"birth date and {at}", (Part("date", name, _one), address[at])) for at in ("district", "town") if address]
        rules.append(Rule("birth date and initials", (Part("date", name, _one), Part("initials", "person name", _initials))))
        rules.append(Rule("name word and birth year", (words, Part("year", name, lambda value: [value[:4]])), initial))
    rules += [Rule(f"name word and {name}", (words, address[name]), initial) for name in ("district", "town") if address]
    rules.append(Rule("names sound alike", (Part("sounds", "person name", _sounds),), address.get("district")))
    sound = Part("initial and sound of surname", "person name", _initial_and_sound)
    rules += [Rule(f"sound of surname and {name}", (sound, address[name])) for name in ("town",) if address]
    rules += [Rule("sound of surname and birth year", (sound, Part("year", name, lambda value: [value[:4]]))) for name in dates]
    return rules


def _organization_rules(plan: Plan, words: Part) -> list[Rule]:
    address = _address_parts(plan)
    rules = [Rule("all name words", (Part("all name words", words.feature, _sorted_words),), address.get("town"))]
    rules += [Rule(f"same {name}", (address[name],), words) for name in ("house",) if address]
    rules += [Rule(f"name word and {name}", (words, address[name])) for name in ("house number", "postcode", "town") if address]
    rules += [Rule("house number and postcode", (address["house number"], address["postcode"]))] if address else []
    rules.append(Rule("rare name word", (words,)))
    rules += [Rule("same house number", (address["house number"],), words)] if address else []
    return rules


def _sorted_words(value: str) -> list[str]:
    return [" ".join(sorted(set(value.split())))]


def _hashes(texts: Sequence[str]) -> Array:
    import pandas as pd

    hashed = pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False).astype(np.int64)
    return np.where(hashed == 0, 1, hashed)


def _part_keys(part: Part, coded: Coded) -> Array:
    codes, values = coded[part.feature]
    cuts = [part.function(value)[: part.most] for value in values]
    table: Array = np.zeros((len(values) + 1, part.most), dtype=np.int64)
    rows: Array = np.repeat(np.arange(len(values)), [len(cut) for cut in cuts]) if cuts else np.zeros(0, dtype=np.int64)
    columns = np.asarray([place for cut in cuts for place in range(len(cut))], dtype=np.int64)
    flat = [text for cut in cuts for text in cut]
    if flat:
        table[rows, columns] = _hashes(flat)
    return table[codes]  # code -1 takes the last row, which holds no key


def _combined(one: Array, other: Array) -> Array:
    """Every key of the one with every key of the other, per record; 0 stays absent."""
    with np.errstate(over="ignore"):
        mixed = (one[:, :, None] * np.int64(-7046029254386353131)) ^ (other[:, None, :] * np.int64(-4417276706812531889) + np.int64(97))
    mixed = np.where((one[:, :, None] == 0) | (other[:, None, :] == 0), 0, np.where(mixed == 0, 1, mixed))
    return mixed.reshape(len(one), -1)


def rule_keys(rules: Sequence[Rule], coded: Coded, heavy: Sequence[Heavy] | None) -> list[Array]:
    """Keys of every record under every rule (rows x keys, 0 for none); with `heavy`, its keys are split and dropped."""
    parts: dict[Part, Array] = {}
    result = []
    for number, rule in enumerate(rules):
        keys = None
        for part in (*rule.parts, *([rule.split] if rule.split else [])):
            if part not in parts:
                parts[part] = _part_keys(part, coded)
        for part in rule.parts:
            keys = parts[part] if keys is None else _combined(keys, parts[part])
        assert keys is not None
        if heavy is not None:
            keys = _capped(rule, _lightened(keys, parts[rule.split] if rule.split else None, heavy[number]), coded)
        result.append(keys)
    return result


def _lightened(keys: Array, split: Array | None, heavy: Heavy) -> Array:
    too_many = np.isin(keys, np.asarray(heavy.split, dtype=np.int64))
    light = np.where(too_many, 0, keys)
    if split is not None and too_many.any():
        light = np.concatenate([light, _combined(np.where(too_many, keys, 0), split)], axis=1)
    light = np.where(np.isin(light, np.asarray(heavy.dropped, dtype=np.int64)), 0, light)
    return light[:, light.any(axis=0)] if light.any() else light[:, :1]


def _capped(rule: Rule, keys: Array, coded: Coded) -> Array:
    """Drops keys that have become too common since the model was learned, and says so: time to learn anew."""
    distinct, counts = np.unique(keys[keys != 0], return_counts=True)
    overgrown = distinct[counts > 2 * LARGEST_BLOCK]
    if not len(overgrown):
        return keys
    for name in _readable(rule, keys, overgrown.tolist(), coded):
        log.warning("blocking key dropped, it has become too common since the weights were learned: %s", name)
    return np.where(np.isin(keys, overgrown), 0, keys)


def find_heavy(rules: Sequence[Rule], coded: Coded) -> list[Heavy]:
    """Which keys of each rule are too many for the budget of PAIRS_PER_RECORD pairs per record and rule."""
    plain = rule_keys(rules, coded, None)
    found = []
    for number, keys in enumerate(plain):
        heavy = Heavy(split=_over_budget(keys))
        if heavy.split and rules[number].split:
            again = rule_keys([rules[number]], coded, [heavy])[0]
            heavy.dropped = _over_budget(again)
            heavy.names = _readable(rules[number], again, heavy.dropped, coded)
        else:
            heavy.names = _readable(rules[number], keys, heavy.split, coded)
        found.append(heavy)
    return found


def _over_budget(keys: Array) -> list[int]:
    distinct, counts = np.unique(keys[keys != 0], return_counts=True)
    sizes, blocks = np.unique(counts, return_counts=True)
    pairs = np.cumsum(sizes * (sizes - 1) // 2 * blocks)
    allowed = sizes[pairs <= max(20_000, PAIRS_PER_RECORD * len(keys))]
    cap = min(max(SMALL_BLOCK, int(allowed.max(initial=0))), LARGEST_BLOCK)
    return [int(key) for key in distinct[counts > cap]]


def _readable(rule: Rule, keys: Array, which: Sequence[int], coded: Coded) -> list[str]:
    names = []
    for key in which[:5]:
        rows = np.flatnonzero((keys == key).any(axis=1))
        shown = [coded[part.feature][1][coded[part.feature][0][rows[0]]].replace(SEP, " ").strip() for part in rule.parts]
        names.append(f"{rule.name}: {len(rows)} records like {', '.join(shown)}")
    return names


@dataclass(frozen=True)
class Pairs:
    """Candidate pairs as row numbers (left < right), the rule that owns each, and all rules that yield it as bits."""

    left: Array
    right: Array
    rule: Array
    mask: Array


def pairs(keys: Sequence[Array], changed: Array | None = None) -> Iterator[Pairs]:
    """Candidate pairs in chunks, each pair once; with `changed`, only pairs of which one record changed."""
    for number, matrix in enumerate(keys):
        for left, right, key in _rule_pairs(matrix, changed):
            owned: Array = np.ones(len(left), dtype=bool)
            for earlier in keys[:number]:
                owned &= ~_common(earlier, left, right)
            if matrix.shape[1] > 1:
                owned &= _smallest_common(matrix, left, right) == key
            left, right = left[owned], right[owned]
            mask: Array = np.zeros(len(left), dtype=np.int64)
            for bit in range(number, len(keys)):
                mask |= _common(keys[bit], left, right).astype(np.int64) << bit
            yield Pairs(left, right, np.full(len(left), number), mask)


def _rule_pairs(matrix: Array, changed: Array | None) -> Iterator[tuple[Array, Array, Array]]:
    rows, columns = np.nonzero(matrix)
    table = np.unique(np.stack([matrix[rows, columns], rows], axis=1), axis=0) if len(rows) else np.zeros((0, 2), dtype=np.int64)
    keys, rows = table[:, 0], table[:, 1]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    wanted = sizes > 1
    if changed is not None and len(keys):
        wanted &= np.add.reduceat(changed[rows].astype(np.int64), starts) > 0
    position: Array = np.repeat(np.where(wanted, starts + sizes, 0), sizes)
    partners = np.maximum(position - np.arange(len(keys)) - 1, 0)
    bounds: Array = np.searchsorted(np.cumsum(partners), np.arange(CHUNK, partners.sum() + CHUNK, CHUNK)) + 1
    at = 0
    for bound in bounds.tolist():
        count = partners[at:bound]
        one: Array = np.repeat(np.arange(at, at + len(count)), count)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        at = bound
        left, right, key = rows[one], rows[other], keys[one]
        if changed is not None:
            keep = changed[left] | changed[right]
            left, right, key = left[keep], right[keep], key[keep]
        yield left, right, key


def _common(matrix: Array, left: Array, right: Array) -> Array:
    found: Array = np.zeros(len(left), dtype=bool)
    for one in range(matrix.shape[1]):
        mine = matrix[left, one]
        for other in range(matrix.shape[1]):
            found |= (mine == matrix[right, other]) & (mine != 0)
    return found


def _smallest_common(matrix: Array, left: Array, right: Array) -> Array:
    none = np.iinfo(np.int64).max
    found = np.full(len(left), none)
    for one in range(matrix.shape[1]):
        mine = matrix[left, one]
        for other in range(matrix.shape[1]):
            found = np.minimum(found, np.where((mine == matrix[right, other]) & (mine != 0), mine, none))
    return found
