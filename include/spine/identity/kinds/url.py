"""Addresses of web sites: the host tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Rule
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, Texts, derive
from spine.identity.kinds import organization
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.text import fold

URL_LEVELS = ("same host", "same name, other ending", "different host")


def host(text: str | None) -> str | None:
    """The host name of a URL without `www.`; hosts that many share are none."""
    folded = fold(text).strip() if text else ""
    name = re.sub(r"^[a-z]+://", "", folded).split("/")[0].split("?")[0].split(":")[0].removeprefix("www.")
    return None if "." not in name or name in words.PLACEHOLDER_HOSTS or name in words.FREE_MAIL else name


class Hosts:
    """What is derived from one host name alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, self.name = Texts(values), Texts([max(value.split(".")[:-1], key=len) for value in values])


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of URL_LEVELS."""
    hosts = derive(values, Hosts)
    same_name = hosts.name.codes[left] == hosts.name.codes[right]
    return np.select([hosts.whole.codes[left] == hosts.whole.codes[right], same_name], [1, 2], default=3)


class Url(AttributeKind):
    """Addresses of web sites. Hosts that many share (social networks, free mail) are none."""

    name = "url"
    rank = 40
    example = "https://www.acme.com/about"
    shared = True
    comparison = Comparison("", "", URL_LEVELS, compare, (0.8, 0.05, 0.15), (0.0003, 0.0003, 0.9994), None, {1: texts.whole})

    def standardize(self, text: str | None) -> str | None:
        """The host without `www.`."""
        return host(text)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """The same host; one of too many records only with a word of the organisation's name."""
        for feature in plan.of_kind(self.name):
            yield Rule(f"same {feature.name}", (VALUE.part(feature.name, feature.name),), organization.word_part(plan))


KIND = Url()
