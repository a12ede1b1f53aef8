"""Parts of values: what is made by columns is what would be made value by value."""

from __future__ import annotations

import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity.comparing.texts import Texts, Values
from spine.identity.composites import names as name_parts
from spine.identity.composites import postal_address as addresses
from spine.identity.kinds import email as email_kind
from spine.identity.kinds import phone as phone_kind
from spine.identity.learning import learn
from spine.identity.planning import make_plan
from spine.identity.standardize.text import SEP
from spine.identity.standardize.vocabulary import FREE_MAIL

_text = st.text(string.ascii_lowercase + " é漢.-_0", max_size=9)
_names = st.lists(st.tuples(_text, _text).map(SEP.join), max_size=12)
_addresses = st.lists(st.tuples(_text, _text, _text, _text).map(SEP.join), max_size=12)
_local = st.one_of(
    st.text(string.ascii_lowercase + "._-é", min_size=1, max_size=9), st.sampled_from(["info", "sales.uk", "info-de", "jo.info"])
)
_mails = st.lists(st.tuples(_local, st.sampled_from(["gmail.com", "firm.com", "é.org"])).map("@".join), max_size=12)


def _told(texts: Texts) -> list[str]:
    return texts.values[texts.codes].tolist()


@given(values=_names)
def test_names(values):
    names = name_parts.Names(values)
    split = [value.split(SEP) for value in values]
    assert _told(names.first) == [first for first, _ in split]
    assert _told(names.last) == [last for _, last in split]
    assert _told(names.head) == [first.split(" ")[0] for first, _ in split]
    assert _told(names.tail) == [last.split(" ")[-1] for _, last in split]
    assert names.many_first.tolist() == [" " in first for first, _ in split]
    assert names.many_last.tolist() == [" " in last for _, last in split]
    letters = [first[:1] for pair in split for first in pair]
    codes = names.begins.reshape(-1).tolist()
    assert [[one == other for other in codes] for one in codes] == [[one == other for other in letters] for one in letters]
    assert _told(name_parts.forename(values)) == _told(names.first)
    assert _told(name_parts.surname(values)) == _told(names.last)


@given(values=_addresses)
def test_addresses(values):
    split = [value.split(SEP) for value in values]
    found = addresses.Addresses(values)
    assert [_told(part) for part in (found.number, found.road, found.code, found.town)] == [[one[at] for one in split] for at in range(4)]
    longest = [max(road.split(" "), key=len) for _, road, *_ in split]
    assert _told(found.head) == longest
    assert _told(addresses.house_of(values)) == [f"{number} {word}" for (number, *_), word in zip(split, longest, strict=True)]


@given(values=_mails)
def test_mails(values):
    mails = email_kind.Mails(values)
    assert mails.role.tolist() == [email_kind.is_role_mail(value) for value in values]
    assert mails.long.tolist() == [len(value.split("@")[0]) >= 5 for value in values]
    assert mails.free.tolist() == [value.split("@")[1] in FREE_MAIL for value in values]
    assert _told(email_kind.domain(values)) == [value.split("@")[1] for value in values]


@given(values=st.lists(st.text(string.digits, min_size=6, max_size=10), max_size=12))
def test_phones(values):
    phones = phone_kind.Phones(values)
    assert _told(phones.tail) == [value[-7:] for value in values]
    assert phones.digits.tolist() == [len(value) for value in values]


_PLAN = make_plan(Matching(attributes={"given": "forename", "last": "surname", "mail": "email", "firm": "organization"}))


@pytest.mark.parametrize("most", [2, learn.MOST_TERMS])
@settings(max_examples=40)
@given(rows=st.lists(st.tuples(_names.filter(len), _mails.filter(len), st.sampled_from(["acme ltd", "acme acme", "bolt"])), max_size=30))
def test_tallies_count_records(rows, most):
    columns = {
        "person name": [names[0] for names, _, _ in rows],
        "mail": [mails[0] for _, mails, _ in rows],
        "firm": [firm for *_, firm in rows],
    }
    coded = {}
    for name, texts in columns.items():
        values = Values(sorted(set(texts)))
        coded[name] = (np.asarray([values.index(text) for text in texts], dtype=np.int64), values)
    tallied = learn.tallies(_PLAN, coded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "MOST_TERMS", most)
        terms = learn.term_tables(tallied)["surname"]["1"]
    wanted = Counter(last for name in columns["person name"] if (last := name.split(SEP)[1]))
    several = sorted(((text, count) for text, count in wanted.items() if count > 1), key=lambda item: (-item[1], item[0]))
    assert terms.total == wanted.total()
    assert list(terms.counts.items()) == several[:most]
    words = Counter(word for firm in columns["firm"] for word in set(firm.split()))
    weights = learn.rarities(tallied)["firm"]
    assert weights == pytest.approx(
        {word: np.log((len(rows) + 2) / count) for word, count in words.items() if count > 1} | {"": np.log(len(rows) + 2)}
    )
