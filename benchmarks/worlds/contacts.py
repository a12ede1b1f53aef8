"""Mailboxes, telephones and employers of persons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from spine.sandbox import names as sandbox

from . import words
from .firms import Registry
from .shares import People
from .slips import Slips
from .words import draw

Array: TypeAlias = Any  # numpy arrays of many element types
_PROVIDERS = dict(zip(sandbox.FREE_MAIL, sandbox.FREE_MAIL_WEIGHTS, strict=True))
_OF_COUNTRY = {
    "RU": "mail.ru", "UA": "ukr.net", "CN": "qq.com", "JP": "yahoo.co.jp", "KR": "naver.com", "PL": "wp.pl", "CZ": "seznam.cz",
    "DE": "gmx.de", "IT": "libero.it", "BR": "uol.com.br", "NL": "ziggo.nl", "FR": "orange.fr", "GB": "btinternet.com", "US": "aol.com",
}  # fmt: skip
_ROLES = ("info", "sales")
_STYLES = ("none", "random", "initials", "name")


class Contacts:
    """Everybody's private and company mailboxes, telephones and jobs; of each a former and a present one."""

    def __init__(
        self, rng: np.random.Generator, says: People, countries: Sequence[str], country: Array, household: Array,
        slugs: tuple[pl.Series, tuple[pl.Series, ...]],
    ) -> None:  # fmt: skip
        self.rng, self.says, self.countries, self.country, self.household = rng, says, countries, country, household
        self._given, self._families = slugs

    def write(
        self, slips: Slips, surnames: words.Words, cities: words.Words, who: Array, moment: Array, latin: Array
    ) -> dict[str, pl.Series]:
        """E-mail, telephone and employer of each record."""
        rng, says, count = self.rng, self.says, len(self.country)
        registry = Registry(self.countries, surnames, cities)
        total = max(len(self.countries), round(count * says.employed / says.per_company))
        sizes = np.bincount(self.country, minlength=len(self.countries)) * total // max(1, count) + 1
        firms = registry.make(rng, np.repeat(np.arange(len(self.countries)), sizes))
        ranks = words.Ranks(sizes.tolist(), says.company_exponent, 1)
        jobs = [ranks.draw(rng, self.country) for _ in range(2)]
        changed = {name: self._after(getattr(says.changes, name), who, moment) for name in ("job", "mailbox", "phone")}
        employed = (rng.random(count) < says.employed)[who]
        firm = np.where(changed["job"], jobs[1][who], jobs[0][who])
        employer = registry.write(rng, firms, firm, latin, slips.hit("form"), slips.hit("form_lost"))
        none = pl.repeat(None, len(who), dtype=pl.String, eager=True)
        return {
            "email": self._mail(firms, registry, jobs, who, changed, employed, firm),
            "phone": self._telephones(firms.country, who, changed["phone"], employed, firm),
            "employer": employer.zip_with(pl.Series(employed), none),
        }

    def _after(self, share: float, who: Array, moment: Array) -> Array:
        count = len(self.country)
        return moment > np.where(self.rng.random(count) < share, self.rng.uniform(0.2, 0.8, count), 2.0)[who]

    def _mail(
        self, firms: Any, registry: Registry, jobs: list[Array], who: Array, changed: dict[str, Array], employed: Array, firm: Array
    ) -> pl.Series:
        rng, says, count = self.rng, self.says, len(self.country)
        providers = pl.Series([*_PROVIDERS, *(_OF_COUNTRY.get(code, "yahoo.com") for code in self.countries)])
        at_firm, domains = self._styles(len(firms.country)), registry.domains(firms)
        home = np.where(rng.random(int(self.household[-1]) + 1) < says.household_mail, 1, 0)[self.household]
        boxes = []
        for family, job in zip(self._families, jobs, strict=True):
            local = rng.random(count) < 0.25
            provider = providers.gather(np.where(local, len(_PROVIDERS) + self.country, draw(rng, _PROVIDERS, count)))
            boxes += [self._box(self._styles(count), family, provider), self._box(at_firm[job], family, domains.gather(job))]
        # Two people never have one mailbox: whoever comes later gets a number.
        taken = words.numbered(pl.concat([box for box, _ in boxes]), pl.concat([domain for _, domain in boxes]))
        private, work, later_private, later_work = (taken.slice(part * count, count) for part in range(4))
        own = later_private.gather(who).zip_with(pl.Series(changed["mailbox"]), private.gather(who))
        company = later_work.gather(who).zip_with(pl.Series(changed["job"]), work.gather(who))
        role = pl.Series(_ROLES).gather(rng.integers(0, len(_ROLES), len(who))) + "@" + domains.gather(firm)
        company = role.zip_with(pl.Series(rng.random(len(who)) < says.role_mail), company)
        families = (
            "family."
            + self._families[1].gather(np.searchsorted(self.household, self.household))
            + pl.Series(self.household).cast(pl.String)
        )
        own = (families.gather(who) + "@gmail.com").zip_with(pl.Series((home[who] == 1) & (rng.random(len(who)) < 0.5)), own)
        at_work = employed & (rng.random(len(who)) >= says.free_mail)
        return company.zip_with(pl.Series(at_work), own)

    def _styles(self, count: int) -> Array:
        """Numbers of `_STYLES`."""
        return np.array([_STYLES.index(style) for style in self.says.mailboxes])[draw(self.rng, self.says.mailboxes, count)]

    def _box(self, style: Array, family: pl.Series, domain: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Mailboxes by style, null for none, with `@domain`."""
        rng, count = self.rng, len(style)
        words_ = [
            pl.Series([word.lower() for word in some]).gather(rng.integers(0, len(some), count))
            for some in (sandbox.ADJECTIVES, sandbox.NOUNS)
        ]
        number = pl.Series(rng.integers(1, 10_000, count)).cast(pl.String)
        frame = pl.DataFrame({"style": style, "given": self._given, "family": family, "random": words_[0] + words_[1] + number})
        style_ = pl.col("style")
        box = (
            pl.when(style_ == 1).then("random")
            .when(style_ == 2).then(pl.concat_str([pl.col("given").str.slice(0, 1), "family"]))
            .when(style_ == 3).then(pl.concat_str(["given", pl.lit("."), "family"]))
        )  # fmt: skip
        return frame.select(box).to_series(), "@" + domain

    def _telephones(self, seats: Array, who: Array, changed: Array, employed: Array, firm: Array) -> pl.Series:
        rng, countries, country = self.rng, self.countries, self.country
        mobiles = [words.telephones(rng, countries, country, True) for _ in range(2)]
        _, first = np.unique(self.household, return_index=True)
        landlines = words.telephones(rng, countries, country[first], False)[self.household]
        boards = words.telephones(rng, countries, seats, False)
        kind = np.array(list(self.says.telephones))[draw(rng, self.says.telephones, len(who))]
        number = np.where(changed, mobiles[1][who], mobiles[0][who])
        number = np.where(kind == "landline", landlines[who], number)
        number = np.where((kind == "switchboard") & employed, boards[firm], number)
        return words.write_telephones(rng, countries, country[who], number)
