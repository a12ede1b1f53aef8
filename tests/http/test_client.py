"""The client waits, signs, judges and tries again as the rules say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from spine.core.errors import AuthFailed, CircuitOpen, ConnectorError, RateLimited, SourceRejected, SourceUnavailable
from spine.http.auth import Credentials
from spine.http.auth.bearer import Bearer
from spine.http.client import Client, parse_retry_after
from spine.http.retry import Retry
from spine.http.transport import Request, Transport


class Journal:
    """A bucket and a breaker that write down what they are told."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait, self.said, self.open = wait, [], False

    def take(self, n: float = 1) -> float:
        self.said.append("take")
        return self.wait

    def pause(self, seconds: float) -> None:
        self.said.append(f"pause {seconds:g}")

    def before(self) -> None:
        if self.open:
            raise CircuitOpen("open", retry_after=60)

    def success(self) -> None:
        self.said.append("success")

    def failure(self) -> None:
        self.said.append("failure")


@pytest.fixture
def client() -> Callable[..., Client]:
    def make(url: str, **options) -> Client:
        options.setdefault("sleep", lambda seconds: None)
        return Client(base_url=url, transport=Transport(allow_private=True, read=0.5), **options)

    return make


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(make_vendor, answer, client, status):
    vendor = make_vendor(lambda seen, number: answer(status if number < 3 else 200, {"ok": True}))
    assert client(vendor.url).get("/x").json() == {"ok": True}
    assert len(vendor.seen) == 4


@pytest.mark.parametrize(
    ("status", "error"), [(400, SourceRejected), (404, SourceRejected), (422, SourceRejected), (401, AuthFailed), (403, AuthFailed)]
)
def test_refusals_are_not_tried_again(make_vendor, answer, client, status, error):
    vendor = make_vendor(lambda seen, number: answer(status))
    with pytest.raises(error):
        client(vendor.url).get("/x")
    assert len(vendor.seen) == 1


@pytest.mark.parametrize(("status", "error"), [(503, SourceUnavailable), (429, RateLimited)])
def test_it_gives_up_after_the_last_retry_and_says_where(make_vendor, answer, client, status, error):
    vendor = make_vendor(lambda seen, number: answer(status))
    with pytest.raises(error, match="connection=c1"):
        client(vendor.url, retry=Retry(max_retries=2), where={"connection": "c1"}).get("/x")
    assert len(vendor.seen) == 3


def test_cut_bodies_and_time_outs_are_tried_again(make_vendor, answer, client):
    faults = [answer(json="x" * 1000, cut=True), answer(hang=2)]
    vendor = make_vendor(lambda seen, number: faults[number] if number < 2 else answer(json=1))
    assert client(vendor.url).get("/x").json() == 1


@pytest.mark.slow
def test_waiting_grows_exponentially_with_full_jitter_under_the_cap(make_vendor, answer, client):
    slept: list[float] = []
    vendor = make_vendor(lambda seen, number: answer(500))
    for _ in range(20):
        with pytest.raises(SourceUnavailable):
            client(vendor.url, sleep=slept.append, retry=Retry(max_retries=5, base=2, cap=16)).get("/x")
    waits = [slept[number::5] for number in range(5)]
    for ceiling, found in zip((2, 4, 8, 16, 16), waits, strict=True):
        assert all(0 <= wait <= ceiling for wait in found)
        assert len(set(found)) > 10
    assert max(waits[3]) > 4


def test_retry_after_is_obeyed_and_told_to_the_shared_bucket(make_vendor, answer, client):
    slept, bucket = [], Journal()
    vendor = make_vendor(lambda seen, number: answer(429 if number == 0 else 200, headers={"Retry-After": "7"} if number == 0 else {}))
    client(vendor.url, sleep=slept.append, bucket=bucket).get("/x")
    assert len(slept) == 1
    assert 7 <= slept[0] <= 8
    assert "pause 7" in bucket.said


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_cap_goes_to_the_task(make_vendor, answer, client, status):
    vendor = make_vendor(lambda seen, number: answer(status, headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimited) as caught:
        client(vendor.url).get("/x")
    assert caught.value.retry_after == 3600
    assert len(vendor.seen) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("120", 120), ("-5", 0), ("soon", None), (None, None), ("", None),
     (format_datetime(datetime(2026, 1, 1, 0, 1, 40, tzinfo=UTC), usegmt=True), 100),
     (format_datetime(datetime(2025, 1, 1, tzinfo=UTC), usegmt=True), 0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert parse_retry_after(value, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


def test_a_post_is_sent_once_unless_it_is_a_search(make_vendor, answer, client):
    vendor = make_vendor(lambda seen, number: answer(500))
    with pytest.raises(SourceUnavailable):
        client(vendor.url).request(Request("POST", "/orders", json={"a": 1}))
    assert len(vendor.seen) == 1
    with pytest.raises(SourceUnavailable):
        client(vendor.url, retry=Retry(max_retries=1)).search("/find", {"q": 1})
    assert len(vendor.seen) == 3
    assert vendor.seen[-1].body == b'{"q":1}'


def test_the_bucket_is_asked_and_waited_for_before_each_attempt(make_vendor, answer, client):
    slept, bucket = [], Journal(wait=3)
    vendor = make_vendor(lambda seen, number: answer(500 if number == 0 else 200))
    client(vendor.url, bucket=bucket, sleep=slept.append).get("/x")
    assert bucket.said == ["take", "take"]
    assert slept.count(3) == 2


def test_the_breaker_counts_failures_and_stops_calls(make_vendor, answer, client):
    breaker = Journal()
    vendor = make_vendor(lambda seen, number: answer(500 if number < 2 else 404))
    caller = client(vendor.url, breaker=breaker)
    with pytest.raises(SourceRejected):
        caller.get("/x")
    assert breaker.said == ["failure", "failure", "success"]  # a refusal is an answer
    breaker.open = True
    with pytest.raises(CircuitOpen):
        caller.get("/x")
    assert len(vendor.seen) == 3


def test_the_source_may_say_it_in_its_own_words(make_vendor, answer, client):
    def inspect(response):
        if b"quota" in response.body:
            raise RateLimited("quota", retry_after=900)

    vendor = make_vendor(lambda seen, number: answer(403, {"error": "quota"}))
    with pytest.raises(RateLimited):
        client(vendor.url, inspect=inspect).get("/x")


def test_next_links_to_another_host_are_refused(make_vendor, client):
    vendor, thief = make_vendor(), make_vendor()
    caller = client(vendor.url, auth=Bearer(Credentials(vendor.url, password="hush")))
    with pytest.raises(SourceRejected, match="another host"):
        caller.get(f"{thief.url}/more")
    caller.get(f"{vendor.url}/more")
    assert (len(thief.seen), len(vendor.seen)) == (0, 1)


def test_no_error_and_no_log_line_holds_a_secret(make_vendor, answer, client, caplog):
    caplog.set_level("DEBUG")
    for status in (200, 400, 401, 403, 429, 500):
        vendor = make_vendor(lambda seen, number, status=status: answer(status, {"echo": "s3cret"}))
        caller = client(vendor.url, auth=Bearer(Credentials(vendor.url, password="s3cret")), retry=Retry(max_retries=1))
        shown = ""
        try:
            caller.get("/x", {"q": "select"})
        except ConnectorError as error:
            shown = repr(error) + str(error) + str(error.as_dict())
        assert "s3cret" not in shown
    assert vendor.seen[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in caplog.text
