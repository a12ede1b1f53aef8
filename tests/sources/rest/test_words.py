"""Words that spare code: slashes that are kept, tokens inside longer values, settings that choose, lists that come newest first."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from spine.core.errors import ConfigError
from spine.http.auth import AUTH_KINDS, Account, Credentials
from spine.sources.reading import State, Window
from spine.sources.rest import mistakes, source_mistakes
from spine.sources.spec import Source
from tests.sources.rest.conftest import FULL, Reading, ids, payloads, source_of

ROWS = [{"id": number, "at": f"2026-01-{number:02d}T00:00:00Z"} for number in range(1, 21)]
SINCE = Window(dt.datetime(2026, 1, 15, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC))


def newest_first(seen: Any) -> list[dict[str, Any]]:
    start = 4 * int(seen.query["page"]) - 4
    return ROWS[::-1][start : start + 4]


LATEST = {"cursor": {"field": "at", "since": None, "order": "descending"}, "paging": {"type": "page"}}


def test_of_a_list_that_comes_newest_first_only_the_new_pages_are_asked_for(reading):
    told = reading(newest_first, LATEST)
    assert sorted(map(int, ids(told.pages(SINCE)))) == [16, 17, 18, 19, 20]
    assert [seen.query["page"] for seen in told.vendor.seen] == ["1", "2", "3"]  # the third is old as a whole
    told.vendor.seen.clear()
    assert len(ids(told.pages())) == 20
    assert [page.records for page in told.killed(SINCE)] == [page.records for page in told.pages(SINCE)]
    plain = reading(newest_first, {**LATEST, "cursor": {"field": "at", "since": None}})
    plain.pages(SINCE)
    assert len(plain.vendor.seen) == 6


def test_numbers_that_come_newest_first_too(reading):
    told = reading(
        newest_first, {"cursor": {"field": "id", "since": None, "type": "number", "order": "descending"}, "paging": {"type": "page"}}
    )
    found = list(told.reader.read(told.source.streams[0], State("18".zfill(20)), Window(None, SINCE.end)))
    assert (ids(found), len(told.vendor.seen)) == (["20", "19"], 2)


@pytest.mark.parametrize(
    ("paging", "asked"),
    [
        ({"type": "offset", "param": "limit", "value": "{page},{size}", "size": 8}, ["0,8", "8,8", "16,8", "20,8"]),
        ({"type": "page", "param": "where", "value": "page:{page}", "size": 8}, ["page:1", "page:2", "page:3", "page:4"]),
    ],
)
def test_a_token_may_stand_inside_a_longer_value(reading, paging, asked):
    def answer(seen):
        text = seen.query[paging["param"]]
        start = int(text.partition(",")[0]) if "," in text else 8 * int(text.partition(":")[2]) - 8
        return ROWS[start : start + 8]

    told = reading(answer, {"paging": paging})
    assert len(ids(told.pages())) == 20
    assert [seen.query[paging["param"]] for seen in told.vendor.seen] == asked
    for words, why in (({"value": "{size}"}, "each page would be the same"), ({"into": "path"}, "a path has {page} itself")):
        with pytest.raises(ValueError, match=why):
            source_of({"paging": {**paging, **words}})


@pytest.mark.parametrize(
    ("extra", "kept"),
    [({}, ["1", "2", "3"]), ({"projects": "a, c"}, ["1", "3"]), ({"projects": ["b"]}, ["2"]), ({"projects": []}, ["1", "2", "3"])],
)
def test_a_setting_says_which_records_are_kept(make_vendor, answer, extra, kept):
    vendor = make_vendor(
        lambda seen, number: answer(json=[{"id": 1, "project": "a"}, {"id": 2, "project": "b"}, {"id": 3, "project": "c"}])
    )
    source = source_of(
        {"filters": [{"field": "project", "variable": "projects"}]}, variables={"projects": {"type": "list", "optional": True}}
    )
    assert ids(Reading(vendor, source, extra).pages()) == kept
    wrong = source_of(
        {"filters": [{"field": "project", "variable": "project"}]}, variables={"projects": {"type": "list", "optional": True}}
    )
    ((place, why),) = source_mistakes(wrong)
    assert (place, "did you mean" in why or "projects" in why) == (("streams", 0, "filters", 0, "variable"), True)


def test_a_setting_chooses_a_value(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json=[]))
    mode = {"default": "live", "choices": ["live", "test"], "lookup": {"live": "production"}}
    variables = {"mode": mode, "deep": {"type": "boolean", "default": True, "lookup": {"true": "all"}}}
    source = source_of({"params": {"env": "{mode}", "depth": "{deep}"}}, variables=variables)
    Reading(vendor, source).pages()
    Reading(vendor, source, {"mode": "test", "deep": False}).pages()
    assert [seen.query for seen in vendor.seen] == [{"env": "production", "depth": "all"}, {"env": "test", "depth": "false"}]


def test_fields_may_be_left_away_but_for_those_that_are_needed(reading):
    told = reading(lambda seen: [{"id": 1, "a": 1, "b": {"c": 2, "d": 3}, "b.e": 4}], {"drop": ["a", "b.c", "b.e", "none"]})
    assert payloads(told.pages()) == [{"id": 1, "b": {"d": 3}}]
    assert [place for place, _ in mistakes(source_of({"drop": ["x", "id"]}).streams[0])] == [("drop", 1)]


def test_what_is_read_can_be_noted_in_the_record(reading):
    cursor = {"field": "at", "since": "from", "until": "to", "start": "2026-01-01", "format": "date", "windows": {"step": "10d"}}
    compute = {"from": "{start}", "to": "{end}"}
    told = reading(lambda seen: [{"id": seen.query["from"], "at": "2026-01-05T00:00:00Z"}], {"cursor": cursor, "compute": compute})
    found = payloads(told.pages(Window(full=True, end=dt.datetime(2026, 1, 21, tzinfo=dt.UTC))))
    assert [(record["from"], record["to"]) for record in found] == [("2026-01-01", "2026-01-11"), ("2026-01-11", "2026-01-21")]


def test_a_value_may_be_several_steps_of_a_path_and_no_other_path(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json=[{"id": 1}]))
    words = {"path": "/repos/{partition.repo}/pulls", "partitions": {"repo": {"variable": "repos"}}}
    variables = {"repos": {"type": "list"}}
    Reading(vendor, source_of({**words, "slashes": True}, variables=variables), {"repos": "acme/app one"}).pages()
    Reading(vendor, source_of(words, variables=variables), {"repos": "acme/app"}).pages()
    assert [seen.path for seen in vendor.seen] == ["/repos/acme/app%20one/pulls", "/repos/acme%2Fapp/pulls"]
    for bad in ("acme/../admin", "/etc", "acme/"):
        with pytest.raises(ConfigError, match="another path"):
            Reading(vendor, source_of({**words, "slashes": True}, variables=variables), {"repos": bad}).pages()


def test_a_parents_own_parent_and_lists_are_named(make_vendor, answer):
    rows = {"/eu/teams": [{"id": "t1"}], "/eu/teams/t1/boards": [{"id": "b1"}, {"id": "b2"}]}
    vendor = make_vendor(lambda seen, number: answer(json=rows.get(seen.path, [{"id": seen.path.rpartition("/")[0]}])))
    plain = {"key": ["id"]}
    cards = "/{parent.parent.partition.region}/teams/{parent.parent.id}/boards/{parent.id}/cards"
    streams = [
        {**plain, "name": "cards", "path": cards, "parent": {"stream": "boards"}, "compute": {"team": "{parent.parent.id}"}},
        {**plain, "name": "boards", "path": "/{parent.partition.region}/teams/{parent.id}/boards", "parent": {"stream": "teams"}},
        {**plain, "name": "teams", "path": "/{partition.region}/teams", "partitions": {"region": {"values": ["eu"]}}},
    ]
    source = Source.model_validate({"source": "toys", "label": "Toys", "domain": "revops", "streams": streams})
    assert list(source_mistakes(source)) == []
    told = Reading(vendor, source)
    assert [(record["id"], record["team"]) for record in payloads(told.pages())] == [
        ("/eu/teams/t1/boards/b1", "t1"),
        ("/eu/teams/t1/boards/b2", "t1"),
    ]
    assert [page.records for page in told.killed(FULL)] == [page.records for page in told.pages()]


class Counting:
    """A budget that counts what is taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, *, max_wait: float = 3600.0) -> float:
        self.taken += 1
        return 0.0

    def pause(self, seconds: float) -> None: ...

    def closed(self) -> float:
        return 0.0


def test_requests_of_some_streams_use_up_a_second_budget(make_vendor, answer):
    vendor = make_vendor(lambda seen, number: answer(json=ROWS[:4] if seen.query["page"] == "1" else []))
    for searches, taken in ((True, 2), (False, 0)):
        calls, besides = Counting(), Counting()
        source = source_of({"searches": searches, "paging": {"type": "page"}}, rate_limit={"search": {"requests": 30}})
        Reading(vendor, source, bucket=calls, search_bucket=besides).pages()
        assert (calls.taken, besides.taken) == (2, taken)
    ((place, _),) = source_mistakes(source_of({"searches": True}))
    assert place == ("streams", 0, "searches")


@pytest.mark.parametrize("auth", [{"type": "bearer"}, {"type": "basic"}, {"type": "api_key", "param": "key"}])
def test_a_link_that_repeats_our_secret_under_another_name_is_kept_without_it(make_vendor, answer, auth):
    def told(seen: Any, number: int) -> Any:
        link = f"/things?access_token=secret%2Dtoken-of-ours&owner=login-of-ours&after={number + 1}"
        return answer(json={"items": [{"id": number}], "next": link if number < 2 else None})

    vendor = make_vendor(told)
    words = {"records": "items", "paging": {"type": "next_url", "next": "next"}}
    signer = AUTH_KINDS.parse(**auth).signer(Account(Credentials(vendor.url, "login-of-ours", "secret-token-of-ours"), None, None))
    pages = Reading(vendor, source_of(words, auth=auth), auth=signer).pages()
    assert ids(pages) == ["0", "1", "2"]
    assert not any("secret" in (page.next_token or "") for page in pages)
    assert all("owner=login-of-ours" in (page.next_token or "") for page in pages[:2])


def test_names_of_fields_may_be_written_in_one_way(reading):
    row = {"ID": 1, "firstName": "a", "customerID": 2, "HTTPStatus": 3, "Zip-Code": 4, "zip_code": 5, "größeMax": 6}
    row |= {"items": [{"unitPrice": 7}], "x_Y": 8}
    words = {"key": ["id"], "compute": {"name": "first_name"}, "case": "snake"}
    (found,) = payloads(reading(lambda seen: [row], words).pages())
    assert found == {
        "id": 1, "first_name": "a", "customer_id": 2, "http_status": 3, "Zip-Code": 4, "zip_code": 5, "größe_max": 6,
        "items": [{"unit_price": 7}], "x_y": 8, "name": "a",
    }  # fmt: skip
    (lower,) = payloads(reading(lambda seen: [{"Id": 1, "AbC": {"D": 2}, "abc": 3}], {"case": "lower"}).pages())
    assert lower == {"id": 1, "AbC": {"d": 2}, "abc": 3}
    assert payloads(reading(lambda seen: [{"id": 1, "AbC": 2}], {}).pages()) == [{"id": 1, "AbC": 2}]
