"""E-mail addresses: a role address counts as nobody's own, a free-mail domain as no company's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.attribute import Array, AttributeKind
from spine.identity.blocking.cuttings import Cut, Cutting, Rule, of_value
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan, Shapes
from spine.identity.comparing.texts import Codes, Texts, derive, edits, pieces, true_of
from spine.identity.composites.person_name import word_part
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.columns import Function, encoded
from spine.identity.standardize.text import MAX_LENGTH, fold

_SPACE = re.escape(" ")
_NOBODY = f"^[._-]*(?:{'|'.join(re.escape(name).replace(_SPACE, '[._-]*') for name in words.NO_MAILBOXES)})[0-9]*[._-]*@"
# A mail address in lower case without `+tag`, and what can look like one and needs a closer look.
_PLAIN_MAIL = r"^[a-z0-9._-]+@[a-z0-9-]+\.[a-z0-9.-]+$"
_ODD_MAIL = "|".join(
    [
        _NOBODY,
        f"@(?:{'|'.join(map(re.escape, sorted(words.PLACEHOLDER_HOSTS | {'googlemail.com'})))})$",
        f"^(?:{'|'.join(map(re.escape, sorted(words.PLACEHOLDER_MAILS)))})$",
        r"\..*@gmail\.com$",
    ]
)
_NO_HOSTS = words.PLACEHOLDER_HOSTS - {"example.com"}
_AFTER_ITS_HEAD = r"(?s)[0-9]*(?:[._-].*)?$"
_SEPARATORS = "[._0-9-]"
EMAIL_LEVELS = ("same address", "same mailbox elsewhere", "close spelling", "same role address", "same company domain", "different address")
_OWNERS = 25  # of so many records at most an address is believed to be one person's


def email(text: str | None) -> str | None:
    """The address in lower case without `+tag`; Gmail's dots are dropped, since it ignores them."""
    folded = fold(text).strip() if text else ""
    local, at, domain = folded.rpartition("@")
    local = local.split("+")[0].replace("@", ".")
    if not at or not local or "." not in domain or folded in words.PLACEHOLDER_MAILS or domain in _NO_HOSTS:
        return None
    if domain in {"gmail.com", "googlemail.com"}:
        local, domain = local.replace(".", ""), "gmail.com"
    if re.match(_NOBODY, f"{local}@"):
        return None
    return f"{local}@{domain}"


def is_role_mail(address: str) -> bool:
    """Whether a standardised address belongs to a function rather than a person (`info@`, `sales.uk@`, `no-reply@`, `info2@`)."""
    local = address.split("@")[0]
    return not {re.sub(_AFTER_ITS_HEAD, "", local), re.sub(_SEPARATORS, "", local)}.isdisjoint(words.ROLE_MAILBOXES)


def mails(values: pa.Array) -> pa.DictionaryArray:
    """`email`, which is called only for addresses that are not plain."""
    lower = pc.ascii_lower(values)
    plain = pc.and_(pc.match_substring_regex(lower, _PLAIN_MAIL), pc.less_equal(pc.binary_length(lower), MAX_LENGTH))
    return encoded(lower, pc.and_not(plain, pc.match_substring_regex(lower, _ODD_MAIL)), [values], email)


class Mails:
    """What is derived from one address alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, (self.local, self.domain) = Texts(values), pieces(values, "@", 2)
        ways = [pc.replace_substring_regex(self.local.distinct, left_out, "") for left_out in (_AFTER_ITS_HEAD, _SEPARATORS)]
        roles = pa.array(sorted(words.ROLE_MAILBOXES))
        self.role = np.asarray(pc.or_(*(pc.is_in(way, roles) for way in ways)), dtype=bool)[self.local.codes]
        self.long = (np.asarray(pc.utf8_length(self.local.distinct)) >= 5)[self.local.codes]
        self.free = true_of(self.domain, lambda domain: domain in words.FREE_MAIL)


def domain(values: Sequence[str]) -> Texts:
    """What follows the `@` of an address."""
    return derive(values, Mails).domain


def mailbox(values: Sequence[str]) -> Texts:
    """What precedes the `@` of an address."""
    return derive(values, Mails).local


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of EMAIL_LEVELS; a role address (`info@`) never counts as a personal one, a free-mail domain never as a company's."""
    mails = derive(values, Mails)
    same_local = mails.local.codes[left] == mails.local.codes[right]
    same_domain = mails.domain.codes[left] == mails.domain.codes[right]
    same, roles, company = same_local & same_domain, mails.role[left] | mails.role[right], same_domain & ~mails.free[left]
    long = mails.long[left] & mails.long[right]
    close = edits(mails.whole, left, right, long & (same_local | same_domain), 1) <= 1  # one slip spares mailbox or domain
    return np.select(
        [same & mails.role[left], same, company & roles, roles, close, same_local & mails.long[left], company],
        [4, 1, 5, 6, 3, 2, 5],
        default=6,
    )


def _shapes(values: Sequence[str]) -> Texts:
    """What each address is: of a function (`role`) or a person's, at a company or a free host."""
    mails = derive(values, Mails)
    owner: Array = np.where(mails.role, "role", "own").astype(object)
    return Texts((owner + np.where(mails.free, " free", " company")).tolist())


def _possible(shares: Mapping[str, float]) -> tuple[float, ...]:
    """The share of pairs that can have each level: two people's mailboxes, two of functions, two at companies."""
    own, role = (sum(share for shape, share in shares.items() if shape.startswith(who)) for who in ("own", "role"))
    company = sum(share for shape, share in shares.items() if shape.endswith("company"))
    return own**2, own**2, own**2, role**2, company**2, 1.0


def of_personal_mail(values: Sequence[str]) -> Array:
    """The address, unless it belongs to a function rather than a person."""
    return np.where(derive(values, Mails).role[:, None], 0, of_value(values))


def _personal_mail(value: str) -> list[str]:
    return [] if is_role_mail(value) else [value]


def company_domain(value: str) -> list[str]:
    """The domain, unless anybody can have a mailbox there."""
    domain = value.rpartition("@")[2]
    return [] if domain in words.FREE_MAIL else [domain]


PERSONAL = Cutting("personal address", _personal_mail, 1, of_personal_mail)


class Email(AttributeKind):
    """E-mail addresses. `+tags` are dropped; the same personal address of few people is believed to be one person."""

    name = "email"
    rank = 20
    example = "Ann.Lee+news@Acme.com"
    comparison = Comparison(
        "", "", EMAIL_LEVELS, compare, (0.5, 0.06, 0.05, 0.02, 0.08, 0.29), (0.00002, 0.0002, 0.0001, 0.0005, 0.006, 0.99318),
        (0.04, 0.0, 0.02, 0.1, 0.2, 0.0), {1: texts.whole, 2: mailbox, 4: texts.whole, 5: domain}, owners=_OWNERS,
        shapes=Shapes(_shapes, _possible, {"own free": 0.4, "own company": 0.5, "role company": 0.1}),
    )  # fmt: skip
    cuts: Mapping[str, Cut] = {"mailbox": lambda value: [value.partition("@")[0]], "domain": company_domain}

    def standardize(self, text: str | None) -> str | None:
        """The address in lower case without `+tag`."""
        return email(text)

    def column(self, kinds: Sequence[str], values: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
        """Plain addresses, which are nearly all, are found and written without a call per value."""
        return mails(*values)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """The same personal address; one of too many people only with a word of the name."""
        for feature in plan.of_kind(self.name):
            yield Rule(f"same {feature.name}", (PERSONAL.part(feature.name, feature.name),), word_part(plan))


KIND = Email()
