"""How long a source wants to be left alone, as its headers say."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.http.limits import LONGEST, left, parse_retry_after, silence_of, spent, wait_of

NOW = datetime(2026, 9, 1, 9, 58, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("120", 120), ("1.5", 1.5), ("-5", 0), ("soon", None), (None, None), ("", None), ("nan", None), ("inf", None),
     ("99999999999999", LONGEST), ("Fri, 99 Foo 2026", None),
     (format_datetime(datetime(2026, 9, 1, 10, tzinfo=UTC), usegmt=True), 100),
     ("Tue, 01 Sep 2026 10:00:00 -0000", 100),
     ("Tue Sep  1 10:00:00 2026", 100),
     ("Tuesday, 01-Sep-26 10:00:00 GMT", 100),
     ("Tue, 01 Sep 2026 12:00:00 +0200", 100),
     (format_datetime(datetime(2025, 1, 1, tzinfo=UTC), usegmt=True), 0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_in_utc(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((int(NOW.timestamp()) + 90) * 1000)}, 90),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, 30),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "Tue, 01 Sep 2026 10:00:00 GMT"}, 100),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"RateLimit": '"default";r=0;t=40'}, 40),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "-5"}, 0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "999999999"}, LONGEST),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": str(int(NOW.timestamp()) - 90)}, 0),
        ({"X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Remaining": "10", "X-RateLimit-Reset": "30"}, None),
        ({"Retry-After": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, 5),
    ],
)
def test_a_spent_quota_says_when_it_comes_back(headers, seconds):
    assert wait_of(headers, NOW) == seconds
    assert spent(headers) == (headers.get("X-RateLimit-Remaining") != "10")


HEADERS = st.sampled_from(
    ["Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Reset", "X-Rate-Limit-Reset"]
)
VALUES = st.sampled_from(
    ["inf", "-inf", "nan", "1e400", "9" * 5000, "-1", "0", "1_0", "٣", "Mon, 01 Jan 0001 00:00:00 +2300", "Fri, 31 Dec 9999 23:59:59 -2300",
     "Tue, 01 Sep 2026 10:00:00 +9999", "Tue, 99 Sep 99999 99:99:99", "r=0;t=" + "9" * 5000, "remaining=0, reset=inf", "\ud800", ",", ";;"]
) | st.text(max_size=40)  # fmt: skip


@given(st.dictionaries(HEADERS, VALUES, max_size=4))
def test_whatever_a_header_says_it_is_a_time_within_a_day_or_none(headers):
    wait = wait_of(headers, NOW)
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= LONGEST)
    assert spent(headers) in (True, False)


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "25"}, 0.25),
        ({"x-rate-limit-limit": "100", "x-rate-limit-remaining": "0"}, 0.0),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "10"}, 1.0),
        ({"X-HubSpot-RateLimit-Daily": "1000", "X-HubSpot-RateLimit-Daily-Remaining": "300",
          "X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Remaining": "99"}, 0.3),
        ({"Sforce-Limit-Info": "api-usage=4000/5000"}, 0.2),
        ({"X-Shopify-Shop-Api-Call-Limit": "32/40"}, 0.2),
        ({"RateLimit": "limit=100, remaining=5, reset=50"}, 0.05),
        ({"X-RateLimit-Remaining": "5"}, None),
        ({"X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Limit": "nan", "X-RateLimit-Remaining": "inf"}, None),
        ({"X-RateLimit-Limit": "9" * 5000, "X-RateLimit-Remaining": "1"}, None),
        ({"X-Limit": "0/0"}, None),
        ({"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "-5"}, 0.0),
        ({}, None),
    ],
)  # fmt: skip
def test_what_is_left_of_a_limit(headers, part):
    assert left(headers) == (None if part is None else pytest.approx(part))


@pytest.mark.parametrize(
    ("headers", "leave", "seconds"),
    [
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, 0.0, 30),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "1", "RateLimit-Reset": "30"}, 0.0, None),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "1", "RateLimit-Reset": "30"}, 0.2, 30),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "3", "RateLimit-Reset": "30"}, 0.2, None),
        ({"Sforce-Limit-Info": "api-usage=4900/5000"}, 0.1, 3600),
        ({"X-RateLimit-Remaining": "0"}, 0.0, None),
        ({"Retry-After": "9"}, 0.5, None),
    ],
)
def test_an_answer_with_success_asks_for_silence_where_a_limit_is_spent_or_should_be_left(headers, leave, seconds):
    assert silence_of(headers, leave) == seconds
