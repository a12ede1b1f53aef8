"""Stripe's own mock, which knows each parameter of each list and refuses others; it has one page of everything."""

from __future__ import annotations

import pytest

from spine.core.errors import AuthFailed
from spine.sources.spec import load_source

PROVES = "stripe-mock, the vendor's own"

STREAMS = [stream.name for stream in load_source("stripe").streams]


def test_every_list_and_every_question_for_events_is_one_that_stripe_takes(reading, stripe_mock) -> None:
    stripe = reading("stripe", f"{stripe_mock}/v1", password="sk_test_123")  # pragma: allowlist secret
    first = stripe.sync(*STREAMS)
    assert all(result["rows"] == 1 and result["skips"] == 0 for result in first.values())
    later = stripe.sync(*STREAMS)
    assert {result["skips"] for result in later.values()} == {0}
    customer = stripe.records("customers", run=1)[0]
    assert customer["id"].startswith("cus_")


def test_a_key_that_is_none_is_refused(reading, stripe_mock) -> None:
    stripe = reading("stripe", f"{stripe_mock}/v1", password="nobody")
    with pytest.raises(AuthFailed):
        stripe.sync("customers")
