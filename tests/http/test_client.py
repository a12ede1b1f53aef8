"""The client waits, signs, judges and tries again as the rules say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spine.core.errors import AuthFailed, CircuitOpen, ConnectorError, RateLimited, SourceRejected, SourceUnavailable
from spine.http.auth import Credentials
from spine.http.auth.bearer import Bearer
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.transport import Request, Transport


class Journal:
    """A bucket and a breaker that write down what they are told."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait, self.said, self.open = wait, [], False

    def take(self, n: float = 1, *, max_wait: float = 3600.0) -> float:
        self.said.append("take")
        return self.wait

    def pause(self, seconds: float) -> None:
        self.said.append(f"pause {seconds:g}")

    def closed(self) -> float:
        return 0.0

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
        return Client(base_url=url, transport=Transport(read=0.5), **options)

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


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "7"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, {"Retry-After": "Tue, 01 Sep 2026 10:00:00 -0000"}],
    ids=["retry-after", "spent quota", "naive date"],
)
def test_a_403_of_a_limit_is_waited_for_and_tried_again(make_vendor, answer, client, headers):
    vendor = make_vendor(lambda seen, number: answer(403 if number == 0 else 200, {"ok": 1}, headers=headers if number == 0 else {}))
    assert client(vendor.url).get("/x").json() == {"ok": 1}


def test_a_page_of_html_is_tried_again_here_and_counts_for_the_breaker(make_vendor, answer, client):
    breaker = Journal()
    page = answer(body=b"<html><title>Maintenance</title></html>", headers={"Content-Type": "text/html"})
    vendor = make_vendor(lambda seen, number: page if number < 2 else answer(json=1))
    assert client(vendor.url, breaker=breaker).get("/x").json() == 1
    assert breaker.said == ["failure", "failure", "success"]
    vendor = make_vendor(lambda seen, number: page)
    with pytest.raises(SourceUnavailable, match=r"not JSON but text/html"):
        client(vendor.url, retry=Retry(max_retries=1)).get("/x")
    assert len(vendor.seen) == 2


def test_no_content_is_no_records_and_an_empty_200_is_a_failure(make_vendor, answer, client):
    assert client(make_vendor(lambda seen, number: answer(204, body=b"")).url).get("/x").json() is None
    with pytest.raises(SourceUnavailable, match="empty"):
        client(make_vendor(lambda seen, number: answer(200, body=b"")).url, retry=Retry(max_retries=0)).get("/x")


def test_the_sources_own_words_reach_the_message_without_the_secret(make_vendor, answer, client):
    vendor = make_vendor(lambda seen, number: answer(400, {"message": "no column Foo for s3cret"}))
    with pytest.raises(SourceRejected, match="no column Foo for …") as caught:
        client(vendor.url, auth=Bearer(Credentials(vendor.url, password="s3cret"))).get("/x")
    assert "s3cret" not in repr(caught.value.as_dict())


class SharedBucket(Journal):
    """A budget that is closed as long as it was told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0.0

    def take(self, n: float = 1, *, max_wait: float = 3600.0) -> float:
        if self.left > max_wait:
            raise RateLimited("closed", retry_after=self.left)
        return self.left

    def pause(self, seconds: float) -> None:
        self.left = seconds

    def closed(self) -> float:
        return self.left


def test_a_limit_beyond_the_cap_closes_the_account_for_all_streams_and_nobody_sleeps_or_calls(make_vendor, answer, client):
    slept, bucket = [], SharedBucket()
    vendor = make_vendor(lambda seen, number: answer(429, headers={"Retry-After": "3600"}))
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            client(vendor.url, bucket=bucket, sleep=slept.append).get("/x")
        assert caught.value.retry_after == 3600
    assert len(vendor.seen) == 1
    assert slept == []


def test_who_waits_for_its_turn_sees_that_the_account_was_closed_meanwhile(make_vendor, client):
    bucket, vendor = SharedBucket(), make_vendor()
    bucket.left = 2.0

    def sleep(seconds):
        bucket.left = 900.0  # another stream was told so

    with pytest.raises(RateLimited) as caught:
        client(vendor.url, bucket=bucket, sleep=sleep).get("/x")
    assert caught.value.retry_after == 900
    assert vendor.seen == []


def test_searches_have_a_budget_of_their_own_besides(make_vendor, client):
    account, searches = Journal(), Journal()
    caller = client(make_vendor().url, bucket=account, search_bucket=searches)
    caller.get("/x")
    caller.search("/x", {})
    assert (account.said, searches.said) == (["take", "take"], ["take"])


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/things", "/api/v1/things"), ("things", "/api/v1/things"), ("/things?to=http://e.example/", "/api/v1/things")],
)
def test_a_path_lies_below_the_connections_address(make_vendor, client, path, asked):
    vendor = make_vendor()
    client(f"{vendor.url}/api/v1").get(path)
    assert [seen.path for seen in vendor.seen] == [asked]


def test_a_next_page_may_lie_elsewhere_on_the_same_host(make_vendor, client):
    vendor = make_vendor()
    client(f"{vendor.url}/api/v1").get(f"{vendor.url}/api/v2/x")
    assert vendor.seen[0].path == "/api/v2/x"


def test_an_unencrypted_next_page_of_an_encrypted_source_is_asked_for_encrypted():
    caller = Client("https://e.example/api", Transport())
    assert caller._url("http://e.example/api/x?page=2")[0] == "https://e.example/api/x?page=2"
    assert caller._url("https://E.example:443/api/x")[0] == "https://E.example:443/api/x"
