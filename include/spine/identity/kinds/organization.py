"""Names of organisations: words weigh by their rarity, legal forms say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import ALL_WORDS, WORDS, Part, Rule
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan, Shapes
from spine.identity.comparing.texts import Codes, Texts, derive
from spine.identity.comparing.words import Pieces, trigrams
from spine.identity.comparing.words import words as words_of
from spine.identity.composites import postal_address
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.legal_forms import without_forms
from spine.identity.standardize.text import is_placeholder

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ORGANIZATION_LEVELS = (
    "same name",
    "nearly the same words",
    "one name within the other",
    "several words in common",
    "few words in common",
    "different name",
)


def organization(text: str | None) -> str | None:
    """Words of an organisation's name in order, abbreviations written out, legal forms and fillers dropped (unless nothing is left)."""
    if not text or is_placeholder(text):
        return None
    found = without_forms(text)
    spelled = [words.ORGANIZATION_WORDS.get(word, word) for word in found]
    kept = [word for word in spelled if word not in words.COMPANY_FORMS]
    return " ".join(kept or spelled) or None


def _triples(values: Sequence[str]) -> csr_matrix:
    return Pieces(values, trigrams).weighted({}, 1.0)


def _overlap(matrix: csr_matrix, left: Codes, right: Codes) -> tuple[Codes, Codes, Codes]:
    """Shared weight and the weight of either side, in chunks so that memory stays flat."""
    own = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    shared = [
        np.asarray(matrix[left[at : at + 100_000]].multiply(matrix[right[at : at + 100_000]]).sum(axis=1)).ravel()
        for at in range(0, len(left), 100_000)
    ]
    return (np.concatenate(shared) if shared else np.zeros(0)), own[left], own[right]


def compare(values: Sequence[str], left: Codes, right: Codes, rarity: Mapping[str, float]) -> Codes:
    """Levels of ORGANIZATION_LEVELS: words weigh by their rarity, spelling slips are caught by letter triples."""
    keys, inverse = np.unique(left * np.int64(len(values)) + right, return_inverse=True)
    left, right = keys // max(1, len(values)), keys % max(1, len(values))
    unknown = max(rarity.values(), default=8.0)
    shared, one, other = _overlap(derive(values, words_of).weighted(rarity, unknown), left, right)
    pieces, left_pieces, right_pieces = _overlap(derive(values, _triples), left, right)
    cosine = shared / np.maximum(np.sqrt(one * other), 1e-9)
    within = shared / np.maximum(np.minimum(one, other), 1e-9)
    spelling = pieces / np.maximum(np.sqrt(left_pieces * right_pieces), 1e-9)
    strong = shared >= unknown * 0.7
    level = np.select(
        [
            cosine >= 0.97,
            (cosine >= 0.72) | (spelling >= 0.78),
            (within >= 0.85) & strong,
            (cosine >= 0.42) | (spelling >= 0.6),
            cosine >= 0.15,
        ],
        [1, 2, 3, 4, 5],
        default=6,
    )
    return level[inverse]


def _shapes(values: Sequence[str]) -> Texts:
    """Which names have one word, which several."""
    return Texts(["several" if " " in value else "one" for value in values])


def _possible(shares: Mapping[str, float]) -> tuple[float, ...]:
    """The share of pairs that can have each level: of two single words none can be within the other, nor some in common."""
    several = 1 - shares.get("one", 0.0) ** 2
    return 1.0, 1.0, several, 1.0, several, 1.0


def word_part(plan: Plan) -> Part | None:
    """The words of an organisation's name or of a title as a part of a key."""
    found = plan.first("organization", "title")
    return WORDS.part(found.name, "name word") if found else None


def _organization_rules(plan: Plan, words: Part) -> list[Rule]:
    address = postal_address.parts_of(plan)
    rules = [Rule("all name words", (ALL_WORDS.part(words.feature, "all name words"),), address.get("town"))]
    rules += [Rule(f"same {name}", (address[name],), words) for name in ("house",) if name in address]
    rules += [Rule(f"name word and {name}", (words, address[name])) for name in ("house number", "postcode", "town") if name in address]
    if {"house number", "postcode"} <= set(address):
        rules.append(Rule("house number and postcode", (address["house number"], address["postcode"])))
    rules.append(Rule("rare name word", (words,)))
    rules += [Rule("same house number", (address["house number"],), words)] if "house number" in address else []
    return rules


class Organization(AttributeKind):
    """Names of companies, schools, offices. Abbreviations are written out, legal forms and fillers dropped."""

    name = "organization"
    rank = 60
    example = "Acme Intl. Holding GmbH & Co. KG"
    worded = True
    shared_beside_name = True
    rest = (ALL_WORDS, WORDS)
    comparison = Comparison(
        "", "", ORGANIZATION_LEVELS, compare, (0.5, 0.2, 0.12, 0.1, 0.05, 0.03), (0.0005, 0.001, 0.002, 0.008, 0.06, 0.9285),
        (0.005, 0.02, 0.02, 0.03, 0.05, 0.0), {1: texts.whole}, names=True, farthest=1.0,
        shapes=Shapes(_shapes, _possible, {"several": 0.95, "one": 0.05}),
    )  # fmt: skip

    def standardize(self, text: str | None) -> str | None:
        """Its telling words in order."""
        return organization(text)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """All words; a word with a part of the address; a rare word."""
        words = word_part(plan)
        if words:
            yield from _organization_rules(plan, words)


KIND = Organization()
