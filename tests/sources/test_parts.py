"""Streams that are read part by part: parents and their chains, lists and their products, groups; and rules for odd answers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spine.core.errors import AuthFailed, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.sources.check import mistakes_of
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.rest.parts import gathered
from spine.sources.spec import Source

FULL = Window(end=datetime(2026, 3, 1, tzinfo=UTC), full=True)
PAGED = {"type": "offset", "param": "at", "size": 2, "size_param": "limit"}


def source(*streams, **words) -> Source:
    named = [{"key": ["id"], "records": "items", "paging": PAGED, **stream} for stream in streams]
    return Source.model_validate({"source": "toys", "label": "Toys", "domain": "revops", "streams": named, **words})


ACCOUNTS = {"name": "accounts", "path": "/accounts"}
CHILD = {"name": "notes", "path": "/accounts/{parent.id}/notes", "parent": {"stream": "accounts"}}


class Api:
    """Accounts of which the n-th has n notes; `odd` answers for paths otherwise. All requests are kept."""

    def __init__(self, accounts: int = 5) -> None:
        self.rows = {"/accounts": [{"id": number, "at": f"2026-01-{number:02d}T00:00:00Z"} for number in range(1, accounts + 1)]}
        for number in range(1, accounts + 1):
            self.rows[f"/accounts/{number}/notes"] = [{"id": 100 * number + note} for note in range(number)]
        self.odd: dict = {}
        self.asked: list[tuple[str, dict]] = []

    def __call__(self, path, query):
        self.asked.append((path, query))
        if path in self.odd:
            answer = self.odd[path]
            return answer(len([1 for seen, _ in self.asked if seen == path])) if callable(answer) else answer
        rows, at = self.rows.get(path), int(query.get("at", 0))
        return (404, {"error": "no such path"}) if rows is None else {"items": rows[at : at + int(query.get("limit", 100))]}


@pytest.fixture
def api():
    return Api()


def read(make_client, spec, api, stream="notes", state=None, window=FULL, extra=None):
    reader = reader_for(spec, client=make_client(api), extra=extra)
    return list(reader.read(spec.stream(stream), state or State(), window))


def ids(pages):
    return [record.record_id for page in pages for record in page.records]


ALL_NOTES = [str(100 * number + note) for number in range(1, 6) for note in range(number)]


def test_children_are_read_for_each_parent_page_by_page(make_client, api):
    pages = read(make_client, source(ACCOUNTS, CHILD), api)
    assert ids(pages) == ALL_NOTES
    assert next(page.parts for page in pages if page.records) == ("1",)
    assert pages[-1].next_token is None


def test_a_later_attempt_goes_on_from_the_token_of_any_page(make_client, api, resume):
    spec = source(ACCOUNTS, CHILD)
    reader = reader_for(spec, client=make_client(api))
    pages = resume(reader, spec.stream("notes"), FULL)
    assert ids(pages) == ALL_NOTES
    # Of an earlier page's parents nothing is asked again.
    api.asked.clear()
    last = next(page for page in pages if page.parts == ("5",))
    assert ids(read(make_client, spec, api, state=State(None, last.next_token, None))) == ALL_NOTES[12:]
    assert not [path for path, _ in api.asked if path in ("/accounts/1/notes", "/accounts/4/notes")]


def test_parents_that_moved_meanwhile_cost_a_page_and_lose_nothing(make_client, api):
    spec = source(ACCOUNTS, CHILD)
    third = next(page for page in read(make_client, spec, api) if page.parts == ("3",))
    api.rows["/accounts"].remove(api.rows["/accounts"][2])
    rest = ids(read(make_client, spec, api, state=State(None, third.next_token, None)))
    assert set(ALL_NOTES[6:]) <= set(rest)


def test_a_chain_of_parents_and_a_value_of_theirs_in_every_place(make_client, api):
    for path in list(api.rows):
        if path.endswith("/notes"):
            for note in api.rows[path]:
                api.rows[f"/lines/{note['id']}"] = [{"id": f"{note['id']}-a"}]
    notes = {**CHILD, "compute": {"account": "{parent.id}"}}
    lines = {
        "name": "lines", "path": "/lines/{parent.id}", "params": {"account": "{parent.account}"}, "headers": {"X-Note": "{parent.id}"},
        "parent": {"stream": "notes"}, "compute": {"note": "{parent.id}", "account": "{parent.account}"}, "key": ["account", "id"],
    }  # fmt: skip
    pages = read(make_client, source(ACCOUNTS, notes, lines), api, "lines")
    assert ids(pages) == [f"{int(note) // 100}|{note}-a" for note in ALL_NOTES]
    assert {query["account"] for path, query in api.asked if path == "/lines/301"} == {"3"}


def test_deleted_parents_are_not_asked_for(make_client, api):
    api.rows["/accounts"][1]["gone"] = True
    parent = {**ACCOUNTS, "deletes": {"detect": "flag", "field": "gone"}}
    assert not [name for name in ids(read(make_client, source(parent, CHILD), api)) if name.startswith("2")]
    assert "/accounts/2/notes" not in [path for path, _ in api.asked]


def test_each_part_is_read_from_its_own_cursor_and_a_new_one_from_its_beginning(make_client, api):
    child = {**CHILD, "cursor": {"field": "at", "since": "since"}}
    for number in range(1, 6):
        api.rows[f"/accounts/{number}/notes"] = [{"id": number, "at": "2026-02-01T00:00:00Z"}]
    window = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    state = State("2026-02-01T00:00:00.000000Z", parts={"1": "2026-01-20T00:00:00.000000Z", "2": "2026-02-01T00:10:00.000000Z"})
    pages = read(make_client, source(ACCOUNTS, child), api, state=state, window=window)
    since = {path: query.get("since") for path, query in api.asked if path.endswith("notes")}
    assert since == {
        "/accounts/1/notes": "2026-01-19T23:55:00.000000Z", "/accounts/2/notes": "2026-02-01T00:05:00.000000Z",
        **{f"/accounts/{number}/notes": None for number in (3, 4, 5)},
    }  # fmt: skip
    assert ids(pages) == ["1", "3", "4", "5"]  # what is older than its part's own cursor is left out


def test_only_changed_parents_are_asked_for(make_client, api):
    parent = {**ACCOUNTS, "cursor": {"field": "at", "since": None}}
    child = {**CHILD, "parent": {"stream": "accounts", "changed": True}}
    spec = source(parent, child)
    first = read(make_client, spec, api)
    assert first[-1].parents.reached == "2026-01-05T00:00:00.000000Z"
    window = Window(end=FULL.end)
    later = read(make_client, spec, api, state=State(parents="2026-01-03T00:05:00.000000Z"), window=window)
    assert ids(later) == ALL_NOTES[6:]


def test_a_skipped_parent_is_found_among_the_changed_ones_again(make_client, api):
    api.odd["/accounts/2/notes"] = (404, {})
    parent = {**ACCOUNTS, "cursor": {"field": "at", "since": None}}
    child = {**CHILD, "parent": {"stream": "accounts", "changed": True}, "errors": [{"when": {"status": 404}, "then": "skip"}]}
    held = read(make_client, source(parent, child), api)[-1].parents
    assert held.held < "2026-01-02T00:00:00.000000Z"


def test_children_are_asked_only_of_parents_that_pass_the_filters(make_client, api):
    child = {**CHILD, "parent": {"stream": "accounts", "filters": [{"field": "id", "none_of": ["1", "3"]}]}}
    assert ids(read(make_client, source(ACCOUNTS, child), api)) == [name for name in ALL_NOTES if name[0] not in "13"]
    assert not [path for path, _ in api.asked if path in ("/accounts/1/notes", "/accounts/3/notes")]


def test_a_rule_tells_a_refusal_of_credentials_that_is_no_401(make_client, api):
    api.odd["/accounts"] = (200, {"ok": False, "error": "token_revoked"})
    rule = {"when": {"match": "error == 'token_revoked'"}, "then": "deny"}
    with pytest.raises(AuthFailed, match="refused our credentials"):
        read(make_client, source(ACCOUNTS, errors=[rule]), api, "accounts")


def test_groups_of_parents_share_a_request(make_client, api):
    api.rows["/notes"] = [{"id": 1}]
    child = {
        "name": "notes",
        "path": "/notes",
        "params": {"ids": "{parent.id}"},
        "lists": "comma",
        "parent": {"stream": "accounts", "group": 2},
    }
    pages = read(make_client, source(ACCOUNTS, child), api)
    asked = [query["ids"] for path, query in api.asked if path == "/notes" and query["at"] == "0"]
    assert asked == ["1,2", "3,4", "5"]
    assert pages[0].parts == ("1", "2")


def test_fields_inside_of_objects_of_a_group_are_lists_too(make_client, api):
    assert gathered([{"a": 1, "in": {"id": "x", "of": {"n": 1}}}, {"in": None}, {"a": 3, "in": {"id": "z"}}]) == {
        "a": [1, None, 3],
        "in": {"id": ["x", None, "z"], "of": {"n": [1, None, None]}},
    }


LISTS = {
    "name": "notes", "path": "/{partition.region}/notes", "params": {"kind": "{partition.kind}"},
    "partitions": {"region": {"values": ["eu", "us"]}, "kind": {"variable": "kinds", "group": 2}},
    "compute": {"region": "{partition.region}"}, "key": ["region", "id"],
}  # fmt: skip


def test_products_of_lists_of_the_file_and_of_the_connection(make_client, api, resume):
    api.rows |= {f"/{region}/notes": [{"id": number} for number in range(3)] for region in ("eu", "us")}
    spec = source(LISTS, variables={"kinds": {"type": "list"}})
    reader = reader_for(spec, client=make_client(api), extra={"kinds": "a, b, c"})
    assert ids(resume(reader, spec.stream("notes"), FULL)) == [f"{r}|{n}" for r in ("eu", "us") for _ in range(2) for n in range(3)]
    first = read(make_client, spec, api, extra={"kinds": ["a", "b", "c"]})[0]
    assert first.parts == ("eu|a", "eu|b")


PAIRS = {
    "name": "balances", "path": "/accounts/{parent.id}/{partition.month}", "parent": {"stream": "accounts"}, "key": ["account", "month"],
    "partitions": {"month": {"stream": "months", "field": "at.month"}},
    "compute": {"account": "{parent.id}", "month": "{partition.month}"},
}  # fmt: skip
MONTHS = {"name": "months", "path": "/months", "key": ["id"]}


def test_each_pair_of_the_records_of_two_streams_is_read_and_the_second_is_asked_for_once(make_client, api, resume):
    api.rows["/months"] = [{"id": number, "at": {"month": f"2026-0{min(number, 2)}"}} for number in (1, 2, 3)]
    for account in range(1, 6):
        api.rows |= {f"/accounts/{account}/2026-0{month}": [{"sum": account * month}] for month in (1, 2)}
    spec = source(ACCOUNTS, MONTHS, PAIRS)
    wanted = [f"{account}|2026-0{month}" for account in range(1, 6) for month in (1, 2)]
    assert ids(read(make_client, spec, api, "balances")) == wanted
    assert ids(resume(reader_for(spec, client=make_client(api)), spec.stream("balances"), FULL)) == wanted


@pytest.mark.parametrize(
    ("months", "words"),
    [
        ({"stream": "nothing"}, "no stream"), ({"stream": "balances"}, "the stream itself"), ({"stream": "pairs"}, "not one field"),
        ({"stream": "balances_of"}, "read for its records"),
    ],
)  # fmt: skip
def test_streams_of_values_that_cannot_be_read_before_are_refused(months, words):
    of = {"name": "balances_of", "path": "/{parent.id}", "parent": {"stream": "balances"}, "key": ["id"]}
    pairs = {"name": "pairs", "path": "/pairs", "key": ["a", "b"]}
    spec = source(ACCOUNTS, MONTHS, {**PAIRS, "partitions": {"month": months}}, of, pairs)
    assert any(words in why for _, why in mistakes_of(spec))


@pytest.mark.parametrize(("extra", "asked"), [({"ids": "3,9"}, ["3"]), ({}, ["1", "2", "3", "4", "5"])], ids=["a list", "else the parents"])
def test_the_list_of_a_connection_stands_for_the_parents(make_client, api, extra, asked):
    child = {**CHILD, "parent": {"stream": "accounts", "listed": "ids"}, "errors": [{"when": {"status": 404}, "then": "skip"}]}
    spec = source(ACCOUNTS, child, variables={"ids": {"type": "list", "optional": True}})
    pages = read(make_client, spec, api, extra=extra)
    assert sorted({name[0] for name in ids(pages)}) == asked
    assert [page.parts for page in pages if page.skipped] == ([("9",)] if extra else [])


def test_the_one_record_of_each_part_is_named_after_it(make_client, api):

    for number in range(1, 6):
        api.odd[f"/accounts/{number}/settings"] = {"colour": "red"}
    child = {"name": "settings", "path": "/accounts/{parent.id}/settings", "parent": {"stream": "accounts"}, "key": "singleton"}
    pages = read(make_client, source(ACCOUNTS, {**child, "records": "@", "paging": {"type": "none"}}), api, "settings")
    assert ids(pages) == ["1", "2", "3", "4", "5"]


def test_a_singleton_is_one(make_client, api):
    with pytest.raises(SchemaMismatch, match="means one"):
        read(make_client, source({**ACCOUNTS, "key": "singleton"}), api, "accounts")


def skipping(**when):
    return {"errors": [{"when": when, "then": "skip"}]}


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        ({"status": [403, 404]}, (404, {})),
        ({"match": "error.code == 'off'"}, (400, {"error": {"code": "off"}})),
        ({"status": 200, "match": "error"}, (200, {"error": "not enabled"})),
        ({"text": "not (en|dis)abled"}, (500, b"<b>not enabled</b>")),
    ],
)
def test_what_a_rule_skips_is_left_out_and_told_with_its_part(make_client, api, when, answer):
    api.odd["/accounts/3/notes"] = answer
    pages = read(make_client, source(ACCOUNTS, {**CHILD, **skipping(**when)}), api)
    assert ids(pages) == [name for name in ALL_NOTES if not name.startswith("3")]
    (told,) = [page for page in pages if page.skipped]
    assert (told.parts, told.skipped.startswith("3: GET 127.0.0.1/accounts/3/notes answered")) == (("3",), True)


def test_without_a_rule_the_same_answers_fail(make_client, api):
    api.odd["/accounts/3/notes"] = (404, {})
    with pytest.raises(SourceRejected, match="404"):
        read(make_client, source(ACCOUNTS, CHILD), api)


def test_a_stream_of_which_everything_was_refused_fails(make_client, api):
    spec = source(ACCOUNTS, {**CHILD, **skipping(status=403)})
    api.odd |= {f"/accounts/{number}/notes": (403, {}) for number in range(1, 6)}
    with pytest.raises(SourceRejected, match=r"every request was refused \(5"):
        read(make_client, spec, api)
    assert read(make_client, spec, api, state=State(answered=True))  # by an earlier attempt of the run
    with pytest.raises(SourceRejected, match="every request was refused"):
        read(make_client, source({**ACCOUNTS, "path": "/none", **skipping(status=404)}), api, "accounts")


def test_nothing_to_ask_is_no_refusal(make_client, api):
    api.rows["/accounts"] = []
    (page,) = read(make_client, source(ACCOUNTS, CHILD), api)
    assert (page.records, page.next_token) == ((), None)


@pytest.mark.parametrize(("fails", "notes"), [(2, 3), (3, 0)])
def test_skip_after_some_retries(make_client, api, fails, notes):
    rule = {"when": {"status": 500}, "then": "skip", "retries": 2}
    good = {"items": api.rows["/accounts/3/notes"]}
    api.odd["/accounts/3/notes"] = lambda number: (500, {}) if number <= fails else (good if number == fails + 1 else {"items": []})
    pages = read(make_client, source(ACCOUNTS, {**CHILD, "errors": [rule]}, retry={"max_retries": 0}), api)
    assert len([name for name in ids(pages) if name.startswith("3")]) == notes


def test_retry_and_fail_stand_above_what_is_usual(make_client, api):
    api.odd["/accounts/3/notes"] = lambda number: (404, {}) if number < 3 else {"items": []}
    rule = {"when": {"status": 404}, "then": "retry"}
    assert ids(read(make_client, source(ACCOUNTS, {**CHILD, "errors": [rule]}), api))
    api.odd["/accounts/3/notes"] = lambda number: (503, {})
    with pytest.raises(SourceRejected, match="says fail"):
        read(make_client, source(ACCOUNTS, CHILD, errors=[{"when": {"status": 503}, "then": "fail"}]), api)
    with pytest.raises(SourceUnavailable):
        read(make_client, source(ACCOUNTS, CHILD, retry={"max_retries": 1}), api)


def test_a_part_begins_anew_where_a_rule_says_so_and_not_for_ever(make_client, api):
    broken = iter([True])
    rows = api.rows["/accounts/5/notes"]

    def answer(number):
        query = api.asked[-1][1]
        if query["at"] == "4" and next(broken, False):
            return (410, {})
        return {"items": rows[int(query["at"]) : int(query["at"]) + 2]}

    api.odd["/accounts/5/notes"] = answer
    rule = {"when": {"status": 410}, "then": "restart"}
    found = ids(read(make_client, source(ACCOUNTS, {**CHILD, "errors": [rule]}), api))
    assert found == [*ALL_NOTES[:14], *ALL_NOTES[10:]]
    api.odd["/accounts/5/notes"] = (410, {})
    with pytest.raises(SourceRejected, match="says restart"):
        read(make_client, source(ACCOUNTS, {**CHILD, "errors": [rule]}), api)


@pytest.mark.parametrize(
    "body",
    [{"error": "no"}, {"errors": [{"message": "no"}]}, {"ok": False}, {"success": False, "items": []}, {"status": "error", "items": None},
     {"data": {"x": []}, "errors": [{"message": "half"}], "items": [{"id": 1}]}],
)  # fmt: skip
def test_an_error_told_with_success_is_one(make_client, api, body):
    api.odd["/accounts"] = body
    with pytest.raises(SourceRejected, match="told an error in an answer of status 200"):
        read(make_client, source(ACCOUNTS), api, "accounts")


@pytest.mark.parametrize("body", [{"items": [{"id": 1, "error": "x"}]}, {"items": [], "error": None}, {"items": [{"id": 1}], "errors": []}])
def test_a_field_named_error_is_none(make_client, api, body):
    api.odd["/accounts"] = body
    spec = source({**ACCOUNTS, "paging": {"type": "none"}})
    assert len(ids(read(make_client, spec, api, "accounts"))) == len(body["items"])
