"""One step of a REST source replaced by a class of its own, and none of the others."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest

from spine.core.errors import ConfigError
from spine.http.paging.page import PageNumber
from spine.sources.check import mistakes_of
from spine.sources.reading import Position
from spine.sources.rest.stages import Stages
from tests.http.conftest import Answer
from tests.sources.rest.conftest import ids, payloads, source_of


class Asks(Stages):
    def request(self, values):
        return replace(super().request(values), headers={"X-Odd": "yes"})


class Turns(Stages):
    def paging(self):
        return PageNumber(param="p", short=True, size=2)


class Decodes(Stages):
    def document(self, response):
        return {"items": [{"id": number} for number in response.body.decode().strip("<>").split(",")]}


class Selects(Stages):
    def select(self, body):
        return [row for group in body["groups"] for row in group]


class Computes(Stages):
    def compute(self, record):
        return {**record, "id": f"{record['a']}-{record['b']}"}


class Places(Stages):
    def position(self, record):
        return Position(f"2026-01-{record['day']:02d}T00:00:00.000000Z")


@pytest.fixture
def odd(reading, monkeypatch):
    def make(stages, serve, **stream):
        module = ModuleType("spine.sources.custom.odd")
        module.Stages = stages
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return reading(serve, stream, reader="odd")

    return make


def test_the_requester(odd):
    told = odd(Asks, lambda seen: [{"id": 1}])
    assert ids(told.pages()) == ["1"]
    assert told.vendor.seen[0].headers["x-odd"] == "yes"


def test_the_paginator(odd):
    told = odd(Turns, lambda seen: [{"id": int(seen.query["p"]) * 2 + part} for part in range(2 if seen.query["p"] != "3" else 1)])
    assert ids(told.killed()) == ["2", "3", "4", "5", "6"]


def test_the_decoder(odd):
    told = odd(Decodes, lambda seen: Answer(body=b"<1,2,3>"), records="items", response={"type": "json", "packed": True})
    assert ids(told.pages()) == ["1", "2", "3"]


def test_the_selector(odd):
    assert ids(odd(Selects, lambda seen: {"groups": [[{"id": 1}], [{"id": 2}, {"id": 3}]]}).pages()) == ["1", "2", "3"]


def test_computed_fields(odd):
    (page,) = odd(Computes, lambda seen: [{"a": 1, "b": 2}]).pages()
    assert (ids([page]), payloads([page])) == (["1-2"], [{"a": 1, "b": 2, "id": "1-2"}])


def test_key_and_cursor(odd):
    (page,) = odd(Places, lambda seen: [{"id": 1, "day": 7}], cursor={"field": "at", "since": None}).pages()
    assert page.high_water == "2026-01-07T00:00:00.000000Z"


@pytest.mark.parametrize(("stages", "why"), [(None, "there is no module"), (int, "has no class Stages"), ("text", "has no class Stages")])
def test_a_class_that_is_not_there_is_told(monkeypatch, stages, why):
    if stages is not None:
        module = ModuleType("spine.sources.custom.odd")
        module.Stages = stages
        monkeypatch.setitem(sys.modules, module.__name__, module)
    source = source_of({}, reader="odd")
    assert [place for place, told in mistakes_of(source) if why in told] == [("reader",)]
    from spine.sources.loader import stages_of

    with pytest.raises(ConfigError, match=why):
        stages_of(source)
