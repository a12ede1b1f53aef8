"""SOQL that cannot be broken out of, and places from which a query can start again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import AuthFailed, ConfigError, RateLimited, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.http.client import Client
from spine.http.retry import Retry
from spine.http.transport import Response, Transport
from spine.sandbox import soql as vendor
from spine.sources.custom.salesforce import Place, Reader, mistakes, name, service, soql, text_literal, time_literal
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

SOURCE = load_source("salesforce")
CONTACTS = SOURCE.stream("contacts")
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_one_literal_and_nothing_more(text):
    query = vendor.parse(f"SELECT Id FROM Contact WHERE Name = {text_literal(text)}")
    assert isinstance(query.where, vendor.Compare)


@given(st.text("ab'\\\" ORn=", max_size=20))
def test_quotes_and_backslashes_come_back_as_they_were(text):
    assert vendor.parse(f"SELECT Id FROM Contact WHERE Name = {text_literal(text)}").where.value == text


@pytest.mark.parametrize("wrong", ["Id FROM User--", "a b", "a,b", "", "1a", "a'", "a.", "x)"])
def test_names_that_are_no_names_are_refused(wrong):
    with pytest.raises(ConfigError):
        name(wrong)
    with pytest.raises(ConfigError):
        soql(CONTACTS.model_copy(update={"object": wrong or " "}), ["Id"], Window(), Place())
    with pytest.raises(ConfigError):
        soql(CONTACTS, [wrong], Window(), Place())


def test_times_are_utc_milliseconds():
    assert time_literal(datetime(2026, 1, 1, 2, 0, 0, 123999, timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.123Z"


@pytest.mark.parametrize(
    ("window", "place", "where"),
    [
        (Window(full=True), Place(), ""),
        (
            Window(START, END),
            Place(),
            " WHERE SystemModstamp > 2026-01-01T00:00:00.000Z",
        ),
        (
            Window(START, END, backfill=True),
            Place(),
            " WHERE SystemModstamp >= 2026-01-01T00:00:00.000Z AND SystemModstamp < 2026-01-02T00:00:00.000Z",
        ),
        (
            Window(START, END),
            Place(after=("2026-01-01T12:00:00.000Z", "003x"), ties=True),
            " WHERE SystemModstamp = 2026-01-01T12:00:00.000Z AND Id > '003x'",
        ),
        (
            Window(START),
            Place(after=("2026-01-01T12:00:00.000Z", "003x")),
            " WHERE SystemModstamp > 2026-01-01T12:00:00.000Z",
        ),
    ],
    ids=["full", "changes", "backfill", "rest of one time", "after that time"],
)
def test_the_query_says_the_window_and_the_place(window, place, where):
    query = soql(CONTACTS, ["Id", "Email"], window, place)
    assert query == f"SELECT Id, Email FROM Contact{where} ORDER BY SystemModstamp, Id"
    vendor.parse(query)


def test_objects_without_cursor_are_read_by_id():
    still = CONTACTS.model_copy(update={"cursor": None})
    assert soql(still, ["Id"], Window(START, END), Place(after=("", "003x"))) == "SELECT Id FROM Contact WHERE Id > '003x' ORDER BY Id"


@given(
    st.builds(
        Place, st.none() | st.text(), st.none() | st.tuples(st.text(), st.text()), st.booleans(), st.booleans(), st.none() | st.text()
    )
)
def test_places_survive_as_tokens(place):
    assert Place.load(place.dump()) == place
    assert Place.load(None) == Place()


def rows(first, count, moment="2026-01-01T00:00:00.000+0000"):
    return [
        {"attributes": {}, "Id": f"{number:03d}", "LastName": "x", "SystemModstamp": moment, "IsDeleted": False}
        for number in range(first, first + count)
    ]


class Vendor:
    """Answers in order: an answer per request; remembers what was asked. `described` is what it says of fields, if it does."""

    def __init__(self, make_client, *answers, described=(404, [])):
        self.answers, self.asked, self.described = list(answers), [], described
        self.client: Client = make_client(self.serve)

    def serve(self, path, query):
        if path.endswith("/describe"):
            return self.described
        self.asked.append(query.get("q") or path)
        return self.answers.pop(0)


EXPIRED = (400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}])


def page(records, following=None):
    return {"records": records, "done": following is None, **({"nextRecordsUrl": following} if following else {})}


def test_after_an_expired_locator_ties_come_first_and_then_the_rest(make_client):
    vendor = Vendor(
        make_client,
        page(rows(0, 2), "/services/data/v61.0/query/01g-2"),
        EXPIRED,
        page(rows(2, 1), "/services/data/v61.0/query/01h-1"),
        EXPIRED,
        page(rows(3, 1)),
        page(rows(4, 2, "2026-01-02T00:00:00.000+0000")),
    )
    pages = list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), Window(full=True)))
    assert [record.record_id for item in pages for record in item.records] == [f"{number:03d}" for number in range(6)]
    conditions = [text.partition(" WHERE ")[2].partition(" ORDER")[0] for text in vendor.asked]
    assert conditions == [
        "", "", "SystemModstamp = 2026-01-01T00:00:00.000Z AND Id > '001'", "",
        "SystemModstamp = 2026-01-01T00:00:00.000Z AND Id > '002'", "SystemModstamp > 2026-01-01T00:00:00.000Z",
    ]  # fmt: skip


def test_a_run_that_died_between_ties_and_rest_goes_on(make_client):
    token = Place(None, ("2026-01-01T00:00:00.000Z", "003"), ties=True).dump()
    vendor = Vendor(make_client, page([]), page(rows(4, 1, "2026-01-02T00:00:00.000+0000")))
    pages = list(Reader(SOURCE, vendor.client).read(CONTACTS, State(token=token, high_water="h"), Window(full=True)))
    assert [record.record_id for item in pages for record in item.records] == ["004"]


def test_attributes_go_and_deletes_are_told_by_the_flag(make_client):
    gone = {**rows(0, 1)[0], "IsDeleted": True}
    vendor = Vendor(make_client, page([gone, *rows(1, 1)]))
    (only,) = Reader(SOURCE, vendor.client).read(CONTACTS, State(), Window(full=True))
    assert [record.op for record in only.records] == ["delete", "upsert"]
    assert "attributes" not in orjson.loads(only.records[0].payload)


def refusal(field):
    return (400, [{"errorCode": "INVALID_FIELD", "message": f"\nSELECT x\n^\nNo such column '{field}' on entity 'Contact'."}])


def test_an_optional_field_that_is_gone_is_left_out(make_client):
    vendor = Vendor(make_client, refusal("Title"), page(rows(0, 1)))
    list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), Window(full=True)))
    assert "Title" in vendor.asked[0]
    assert "Title" not in vendor.asked[1]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal("LastName"), SchemaMismatch),
        (refusal("Nothing"), SourceRejected),
        ((400, [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Contact' is not supported."}]), SchemaMismatch),
        ((400, [{"errorCode": "MALFORMED_QUERY", "message": "no"}]), SourceRejected),
        ((400, "rubbish"), SourceRejected),
        ((403, []), AuthFailed),
        ((403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]), RateLimited),
        ((403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": "no API"}]), AuthFailed),
        ((400, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "busy"}]), SourceUnavailable),
        (refusal("IsDeleted"), SchemaMismatch),
        (page([{"Id": "1", "LastName": "x", "SystemModstamp": "2026-01-01T00:00:00Z"}]), SchemaMismatch),
        ([], SchemaMismatch),
    ],
    ids=[
        "required field",
        "unknown field",
        "object",
        "query",
        "rubbish",
        "forbidden",
        "limit",
        "no API",
        "lock",
        "flag refused",
        "flag gone",
        "no object",
    ],
)
def test_refusals_have_our_codes(make_client, answer, error):
    with pytest.raises(error):
        list(Reader(SOURCE, Vendor(make_client, answer).client).read(CONTACTS, State(), Window(full=True)))


def test_the_share_of_the_daily_calls_is_respected():
    limited = SOURCE.model_copy(update={"rate_limit": SOURCE.rate_limit.model_copy(update={"share": 0.3})})
    client = Client("https://example.com", Transport(), retry=Retry(max_retries=0), where={"connection": "c1"})
    reader = Reader(limited, client)
    client.inspect(Response(200, {"sforce-limit-info": "api-usage=31/100"}, b"", "x"))
    with pytest.raises(RateLimited, match="30%") as caught:
        list(reader.read(CONTACTS, State(), Window(full=True)))
    assert caught.value.retry_after > 0


@pytest.mark.parametrize(
    ("message", "least", "most"),
    [
        ("TotalRequests Limit exceeded.", 900, 900),
        ("ConcurrentPerOrgLongTxn Limit exceeded.", 5, 60),
        ("ConcurrentRequests Limit exceeded.", 5, 60),
    ],
)
def test_the_limit_of_calls_at_one_time_is_not_the_daily_one(message, least, most):
    client = Client("https://example.com", Transport())
    Reader(SOURCE, client)
    answer = Response(403, {}, orjson.dumps([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}]), "x")
    with pytest.raises(RateLimited) as caught:
        client.inspect(answer)
    assert least <= caught.value.retry_after <= most


def test_its_own_words_reach_the_message(make_client):
    answer = (400, [{"errorCode": "MALFORMED_QUERY", "message": "\nSELECT x\n^\nunexpected token: 'x'"}])
    with pytest.raises(SourceRejected, match="MALFORMED_QUERY SELECT x \\^ unexpected token: 'x'"):
        list(Reader(SOURCE, Vendor(make_client, answer).client).read(CONTACTS, State(), Window(full=True)))


def test_a_parent_that_may_not_be_read_is_left_out(make_client):
    lost = (400, [{"errorCode": "INVALID_FIELD", "message": "Didn't understand relationship 'Account' in field path."}])
    vendor = Vendor(make_client, lost, page(rows(0, 1)))
    list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), Window(full=True)))
    assert "Account.Name" in vendor.asked[0]
    assert "Account.Name" not in vendor.asked[1]


def test_a_row_without_its_flag_is_told_to_be_unreadable_and_not_to_be_back(make_client):
    whole, bare = rows(0, 2)
    del bare["IsDeleted"]
    (only,) = Reader(SOURCE, Vendor(make_client, page([whole, bare])).client).read(CONTACTS, State(), Window(full=True))
    assert "IsDeleted is missing" in only.records[1].payload


def test_places_of_the_first_version_are_understood():
    assert Place.load('["/x",["2026-01-01T00:00:00.000Z","003"],true]') == Place("/x", ("2026-01-01T00:00:00.000Z", "003"), ties=True)


def test_deletes_of_a_window_that_is_too_old_are_asked_for_as_far_as_they_go(make_client):
    vendor = Vendor(make_client, page([]), {"deletedRecords": None})
    window = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
    list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), window))
    assert vendor.asked[1].endswith("/sobjects/Contact/deleted/")


def ids_of(pages):
    return [record.record_id for item in pages for record in item.records]


def test_what_changes_beyond_the_window_is_left_to_the_next_run(make_client):
    vendor = Vendor(make_client, page([*rows(0, 1, "2026-01-01T12:00:00Z"), *rows(1, 1, "2026-01-02T00:00:01Z")]), {"deletedRecords": []})
    pages = list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), Window(START, END)))
    assert ids_of(pages) == ["000"]
    assert pages[-1].high_water == "2026-01-01T12:00:00.000000Z"


FULL = Window(full=True)


@pytest.mark.parametrize("given", ["{base}/services/data/v61.0/query/01g-1", "https://elsewhere.example/services/data/v61.0/query/01g-1"])
def test_a_whole_locator_is_asked_of_the_account(make_client, given):
    vendor = Vendor(make_client)
    vendor.answers = [page(rows(0, 1), given.format(base=vendor.client.base_url)), page(rows(1, 1))]
    assert ids_of(Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL)) == ["000", "001"]
    assert vendor.asked[1] == "/services/data/v61.0/query/01g-1"


def test_a_locator_that_stays_the_same_turns_pages_and_is_no_place_for_another_process(make_client):
    stays = "/services/data/v61.0/query/q-1"
    vendor = Vendor(make_client, page(rows(0, 1), stays), page(rows(1, 1), stays), page(rows(2, 1), stays), page(rows(3, 1)))
    pages = list(Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL))
    assert ids_of(pages) == ["000", "001", "002", "003"]
    assert Place.load(pages[1].next_token) == Place(None, ("2026-01-01T00:00:00.000Z", "001"), ties=True)


def test_where_nothing_says_where_more_is_the_query_goes_on_behind_the_last_record(make_client):
    vendor = Vendor(make_client, page(rows(0, 2)) | {"done": False}, page(rows(2, 1)), page([]))
    assert ids_of(Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL)) == ["000", "001", "002"]
    assert "AND Id > '001'" in vendor.asked[1]


def test_done_is_the_end_whatever_else_is_said(make_client):
    vendor = Vendor(make_client, page(rows(0, 2), "/services/data/v61.0/query/q-1") | {"done": True})
    assert ids_of(Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL)) == ["000", "001"]


class OldAccount:
    """An account with one version of the API; `listed` are those that it tells, `words` its queries."""

    def __init__(self, make_client, version, *words, listed=None):
        self.version, self.words, self.listed, self.asked = version, words, listed, []
        self.client: Client = make_client(self.serve)

    def serve(self, path, query):
        self.asked.append(path)
        if path == "/services/data/" and self.listed:
            return [{"label": "x", "url": f"/services/data/v{one}", "version": one} for one in self.listed]
        if path in [f"/services/data/v{self.version}/{word}" for word in self.words]:
            return page([{**row, "IsDeleted": None} if word_is_query(path) else row for row in rows(0, 2)])
        return 404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]


def word_is_query(path):
    return path.endswith("/query")


@pytest.mark.parametrize(
    ("account", "found"),
    [
        (("58.0", "queryAll", "query"), "v58.0/queryAll"),
        (("58.0", "query"), "v58.0/query"),
        (("63.0", "queryAll", "query"), "v63.0/queryAll"),
    ],
    ids=["older", "without deleted rows", "newer"],
)
@pytest.mark.parametrize("listed", [False, True], ids=["nothing listed", "listed"])
def test_another_version_is_found(make_client, account, found, listed):
    vendor = OldAccount(make_client, *account, listed=["40.0", account[0]] if listed else None)
    reader = Reader(SOURCE, vendor.client)
    for _ in range(2):
        assert ids_of(reader.read(CONTACTS, State(), FULL)) == ["000", "001"]
    assert vendor.asked[-1] == f"/services/data/{found}"
    assert vendor.asked.count("/services/data/") == 1
    assert len(vendor.asked) <= (7 if listed else 25)


def test_the_version_may_be_the_connection_s(make_client):
    vendor = OldAccount(make_client, "52.0", "queryAll")
    list(Reader(SOURCE, vendor.client, {"api_version": "v52"}).read(CONTACTS, State(), FULL))
    assert vendor.asked == ["/services/data/v52.0/queryAll"]
    with pytest.raises(ConfigError, match="api_version"):
        Reader(SOURCE, vendor.client, {"api_version": "../../x"})


def test_a_token_of_the_common_login_says_where_the_account_is(make_client, monkeypatch):
    vendor = Vendor(make_client, page(rows(0, 1)))
    login = make_client(lambda path, query: {"urls": {"rest": f"{vendor.client.base_url}/services/data/v{{version}}/"}})
    login.hosts = (vendor.client.base_url.removeprefix("http://"),)
    monkeypatch.setattr(service, "_LOGINS", ("127.0.0.1",))
    assert ids_of(Reader(SOURCE, login).read(CONTACTS, State(), FULL)) == ["000"]


def described(*names):
    return {"fields": [{"name": name, "type": "string", "relationshipName": None} for name in names]}


def test_one_refusal_finds_all_fields_that_may_not_be_read_and_they_are_named(make_client):
    readable = [item for item in CONTACTS.fields if item not in ("Title", "Birthdate", "Account.Name")]
    vendor = Vendor(make_client, refusal("Title"), page(rows(0, 1)), described=described(*readable))
    (only,) = Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL)
    assert only.unreadable == ["Account.Name", "Birthdate", "Title"]
    assert len(vendor.asked) == 2


def test_a_field_that_vanished_is_known_by_its_message_under_any_code(make_client):
    lost = (400, [{"errorCode": "MALFORMED_QUERY", "message": "No such column 'Title' on entity 'Contact'."}])
    vendor = Vendor(make_client, lost, page(rows(0, 1)))
    (only,) = Reader(SOURCE, vendor.client).read(CONTACTS, State(), FULL)
    assert only.unreadable == ["Title"]


def test_an_object_without_fields_in_the_file_needs_its_describe(make_client):
    bare = CONTACTS.model_copy(update={"fields": ()})
    with pytest.raises(SchemaMismatch, match="List them as `fields`"):
        list(Reader(SOURCE, Vendor(make_client).client).read(bare, State(), FULL))
    assert list(mistakes(bare)) == []
