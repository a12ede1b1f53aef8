"""Rules of a source's file at the client: what headers say of an answer, and when it is to be asked again."""

from __future__ import annotations

import time

import pytest

from spine.core.errors import SourceUnavailable
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.rules import Rule, Skipped
from spine.http.transport import Transport


@pytest.fixture
def asked(make_vendor, answer):
    """What a client with one rule does with an answer that is followed by a good one: its body, and for how long it slept."""

    def ask(rule, status=409, headers=None):
        vendor = make_vendor(lambda seen, number: answer(status, {}, headers or {}) if number == 0 else answer(json={"ok": 1}))
        slept = []
        client = Client(vendor.url, Transport(), sleep=slept.append, retry=Retry(base=0.001, cap=60), rules=(Rule.model_validate(rule),))
        return client.get("/x").json(), sum(slept)

    return ask


@pytest.mark.parametrize(
    ("unit", "value", "seconds"),
    [("seconds", lambda: "7", 7), ("epoch", lambda: str(int(time.time()) + 9), 9), ("epoch", lambda: str(int(time.time()) - 50), 0)],
)
def test_a_header_of_its_own_says_when_to_ask_again(asked, unit, value, seconds):
    rule = {"when": {"status": 409}, "then": "retry", "wait": {"header": "X-Window-Reset", "unit": unit}}
    body, slept = asked(rule, headers={"x-window-reset": value()})
    assert body == {"ok": 1}
    assert seconds - 1.5 <= slept <= seconds + 1.5


def test_beyond_the_cap_the_task_comes_back_then(asked):
    rule = {"when": {"status": 409}, "then": "retry", "wait": {"header": "X-Window-Reset"}}
    with pytest.raises(SourceUnavailable) as limited:
        asked(rule, headers={"X-Window-Reset": "600"})
    assert limited.value.retry_after == 600


@pytest.mark.parametrize("value", ["soon", "", "-"])
def test_a_header_that_says_nothing_leaves_the_usual_pause(asked, value):
    rule = {"when": {"status": 409}, "then": "retry", "wait": {"header": "X-Window-Reset"}}
    assert asked(rule, headers={"X-Window-Reset": value})[0] == {"ok": 1}


def test_a_rule_may_go_by_headers_in_any_case(asked):
    rule = {"when": {"status": [403, 409], "header": {"X-Reason": "^not[ -]enabled$"}}, "then": "skip"}
    with pytest.raises(Skipped):
        asked(rule, headers={"x-reason": "not enabled"})
    for headers in ({"x-reason": "was not enabled"}, {}):
        with pytest.raises(Exception, match="answered 409") as other:
            asked(rule, headers=headers)
        assert not isinstance(other.value, Skipped)
