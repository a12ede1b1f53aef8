"""The world: deterministic, skewed, full of the traps that identity resolution must survive, with known truth."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.sandbox.companies import make_company
from spine.sandbox.names import FREE_MAIL
from spine.sandbox.people import make_person
from spine.sandbox.tables import STREAMS, record_id, slot_of, stream_of, to_millis
from spine.sandbox.world import World

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return World("default", 7, 3000, NOW)


@pytest.fixture(scope="module")
def contacts(world: World) -> list:
    table = world.table("salesforce", "contacts")
    return [world.person(table, slot) for slot in range(len(table))]


def test_same_arguments_make_the_same_world(world: World) -> None:
    again = World("default", 7, 3000, NOW)
    assert again.truth() == world.truth()
    for name in ("contacts", "accounts"):
        left, right = world.table("salesforce", name), again.table("salesforce", name)
        make = (lambda w, t: w.person(t, 5)) if name == "contacts" else (lambda w, t: w.company(t, 5))
        assert make(world, left) == make(again, right)
        assert (left.modified == right.modified).all()


def test_tenant_and_seed_make_other_worlds(world: World) -> None:
    table = world.table("salesforce", "contacts")
    for other in (World("acme", 7, 3000, NOW), World("default", 8, 3000, NOW)):
        assert other.person(other.table("salesforce", "contacts"), 0) != world.person(table, 0)


def test_every_day_of_the_thirty_has_changes(world: World) -> None:
    start = to_millis(NOW - timedelta(days=30))
    for table in world.tables.values():
        days = (table.modified - start) // 86_400_000
        assert set(np.unique(days)) == set(range(30)) or len(table) < 300
        assert (table.created <= table.modified).all()
        assert table.modified.max() < to_millis(NOW)


def test_surnames_are_skewed(world: World) -> None:
    names = Counter(make_person(world.key, number, world.companies).family for number in range(3000))
    assert names.most_common(1)[0][1] > 25
    assert sum(1 for count in names.values() if count == 1) > 100


def test_families_share_surname_address_and_landline_but_not_the_mobile(world: World) -> None:
    people = [make_person(world.key, number, world.companies) for number in range(1000)]
    homes = Counter((person.home, person.landline) for person in people)
    shared = {home for home, count in homes.items() if count > 1}
    assert len(shared) > 50
    family = [person for person in people if (person.home, person.landline) in shared]
    assert len({person.mobile for person in family}) == len(family)
    assert len({person.private_mail for person in family}) == len(family)


def test_records_hold_the_known_traps(world: World, contacts: list) -> None:
    mails = [record.email.lower() for record in contacts]
    assert sum(mail.startswith("info@") for mail in mails) > 20
    assert sum(mail.endswith(FREE_MAIL) for mail in mails) > 500
    assert sum(not mail for mail in mails) > 150
    assert sum(not record.phone for record in contacts) > 300
    assert sum(not record.street for record in contacts) > 300
    truth = {key[3]: label for key, label in world.truth().items() if key[1:3] == ("salesforce", "contacts")}
    copies = [count for count in Counter(truth.values()).values() if count > 1]
    assert len(copies) > 200


def test_somebody_who_changed_jobs_shows_two_employers(world: World) -> None:
    table = world.table("salesforce", "contacts")
    seen: dict[int, set[int]] = {}
    for slot, number in enumerate(table.subject.tolist()):
        seen.setdefault(number, set()).add(world.person(table, slot).company)
    assert sum(len(employers - {-1}) > 1 for employers in seen.values()) > 20


def test_company_names_are_unique_and_appear_in_variants(world: World) -> None:
    names = {make_company(world.key, number).base for number in range(20_000)}
    assert len(names) == 20_000
    table = world.table("salesforce", "accounts")
    forms: dict[int, set[str]] = {}
    for slot, number in enumerate(table.subject.tolist()):
        forms.setdefault(number, set()).add(world.company(table, slot).name)
    assert sum(len(variants) > 1 for variants in forms.values()) > 50


def test_phones_are_possible_numbers(world: World) -> None:
    people = [make_person(world.key, number, world.companies) for number in range(300)]
    calling = {"US": 1, "GB": 44, "DE": 49, "FR": 33, "ES": 34}
    for phone in (person.mobile for person in people):
        number = phonenumbers.parse(f"+{calling[phone.country]}{phone.area}{phone.local}")
        assert phonenumbers.is_possible_number(number)


@given(st.sampled_from(STREAMS), st.integers(0, 5_000_000))
def test_ids_lead_back_to_their_slot(stream, slot: int) -> None:
    assert slot_of(stream, record_id(stream, slot)) == slot


@given(st.sampled_from([stream for stream in STREAMS if stream.source == "salesforce"]), st.text(max_size=20))
def test_nonsense_is_no_id(stream, text: str) -> None:
    assert slot_of(stream, text) == -1


@settings(max_examples=20)
@given(st.lists(st.integers(0, 1_000_000), min_size=2, max_size=20, unique=True))
def test_ids_sort_as_slots_do(slots: list[int]) -> None:
    contact = stream_of("salesforce", "contacts")
    assert sorted(record_id(contact, slot) for slot in slots) == [record_id(contact, slot) for slot in sorted(slots)]


def test_a_million_customers_are_ready_at_once() -> None:
    start = time.monotonic()
    large = World("default", 7, 1_000_000, NOW)
    table = large.table("salesforce", "contacts")
    assert len(table) == 1_000_000
    assert large.person(table, 999_999).family
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("scale", [0, 10_000_000])
def test_scale_out_of_range_is_refused(scale: int) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        World("default", 7, scale, NOW)


def test_unknown_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"salesforce\.cases"):
        stream_of("salesforce", "cases")
