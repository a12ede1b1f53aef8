"""No authentication: nothing is added."""

from __future__ import annotations


def test_nothing_signs_a_request(signed):
    assert signed(type="none").headers.get("authorization") is None


def test_it_is_what_a_source_without_auth_has(signed):
    assert signed().headers.get("authorization") is None


def test_it_needs_no_secret(signed):
    assert signed(login="", password="", type="none").path == "/x"
