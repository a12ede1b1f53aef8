"""A low-code manifest becomes a source's file: each part in our words, and what has none told by its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.sources.tools.drafts import Draft, Untold
from spine.sources.tools.manifests import convert_manifest
from spine.sources.tools.manifests.templates import expression_of, jmespath

SPEC = {
    "type": "Spec",
    "connection_specification": {
        "type": "object",
        "required": ["api_key", "start_date", "subdomain"],
        "properties": {
            "api_key": {"type": "string", "airbyte_secret": True, "title": "API key"},
            "user": {"type": "string"},
            "subdomain": {"type": "string"},
            "start_date": {"type": "string", "format": "date-time"},
            "regions": {"type": "array"},
            "days": {"type": "integer", "default": 7},
            "client_id": {"type": "string"},
            "client_secret": {"type": "string", "airbyte_secret": True},
            "refresh_token": {"type": "string", "airbyte_secret": True},
        },
    },
}
KEY = "{{ config['api_key'] }}"


def requester(**more: Any) -> dict[str, Any]:
    return {"type": "HttpRequester", "url_base": "https://api.acme.example/v1/", "path": "things", "http_method": "GET", **more}


def stream(
    name: str = "things", *, asks: dict[str, Any] | None = None, retriever: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    selector = {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["data"]}}
    inner = {"type": "SimpleRetriever", "requester": requester(**(asks or {})), "record_selector": selector, **(retriever or {})}
    return {"type": "DeclarativeStream", "name": name, "primary_key": "id", "retriever": inner, **more}


def converted(folder: Path, *streams: dict[str, Any], **more: Any) -> Draft:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({"version": "6.0.0", "streams": list(streams), "spec": SPEC, **more}, sort_keys=False))
    return convert_manifest(path, "acme")[0]


def option(name: str, into: str = "request_parameter") -> dict[str, str]:
    return {"type": "RequestOption", "field_name": name, "inject_into": into}


def paginator(strategy: dict[str, Any], token: Any = None, size: Any = None) -> dict[str, Any]:
    made = {"type": "DefaultPaginator", "pagination_strategy": strategy}
    made |= {"page_token_option": token} if token else {}
    return {"paginator": made | ({"page_size_option": size} if size else {})}


CURSOR = {"type": "CursorPagination"}
PARTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "a page",
        paginator({"type": "PageIncrement", "start_from_page": 1, "page_size": 50}, option("page"), option("size")),
        {"paging": {"type": "page", "param": "page", "first": 1, "short": True, "size": 50, "size_param": "size"}},
    ),
    (
        "an offset in the body",
        {
            **paginator({"type": "OffsetIncrement", "page_size": 10}, option("skip", "body_json"), option("top", "body_json")),
            "requester": requester(http_method="POST"),
        },
        {"paging": {"type": "offset", "param": "skip", "into": "body", "short": True, "size": 10, "size_param": "top"}, "method": "POST"},
    ),
    (
        "a token",
        paginator(
            {**CURSOR, "cursor_value": "{{ response.get('meta', {}).get('next') }}", "stop_condition": "{{ not response['more'] }}"},
            option("after"),
        ),
        {"paging": {"type": "next_token", "next": "meta.next", "param": "after", "stop": "!more"}},
    ),
    (
        "an address",
        paginator(
            {**CURSOR, "cursor_value": "{{ response.next }}", "stop_condition": "{{ 'next' not in response }}"}, {"type": "RequestPath"}
        ),
        {"paging": {"type": "next_url", "next": "next", "stop": "!(next)"}},
    ),
    (
        "a Link header",
        paginator({**CURSOR, "cursor_value": "{{ headers['link']['next']['url'] }}"}, {"type": "RequestPath"}),
        {"paging": {"type": "link_header"}},
    ),
    (
        "a header's token",
        paginator({**CURSOR, "cursor_value": "{{ headers['X-Next'] }}"}, option("cursor", "header")),
        {"paging": {"type": "next_token", "from_header": "X-Next", "param": "cursor", "into": "header"}},
    ),
    (
        "the last record",
        paginator({**CURSOR, "cursor_value": "{{ last_record['id'] }}"}, option("since_id")),
        {"paging": {"type": "keyset", "field": "id", "param": "since_id"}},
    ),
    (
        "a token cut out",
        paginator({**CURSOR, "cursor_value": "{{ response.next.split('cursor=')[1].split('&')[0] }}"}, option("cursor")),
        {"paging": {"type": "next_token", "next": "next", "cut": "cursor=([^\\&]*)", "param": "cursor"}},
    ),
    (
        "a token as a parameter of the request",
        {
            **paginator({**CURSOR, "cursor_value": "{{ response.t }}"}),
            "requester": requester(request_parameters={"t": "{{ next_page_token['next_page_token'] }}"}),
        },
        {"paging": {"type": "next_token", "next": "t", "param": "t"}},
    ),
    (
        "a counted sum",
        paginator(
            {
                **CURSOR,
                "page_size": 5,
                "cursor_value": "{{ response.at + response.max }}",
                "stop_condition": "{{ response.last or response.at + response.max >= response.total }}",
            },
            option("at"),
        ),
        {"paging": {"type": "offset", "param": "at", "short": True, "stop": "last", "total": "total", "size": 5}},
    ),
    (
        "variables",
        {
            "requester": requester(
                path="{{ config['subdomain'] }}/x",
                request_parameters={"a": "1", "b": "{{ config.get('user', 'me') }}"},
                request_headers={"X-Version": "'2'"},
            )
        },
        {"path": "/{subdomain}/x", "params": {"a": "1", "b": "{user}"}, "headers": {"X-Version": "2"}},
    ),
    (
        "a body",
        {"requester": requester(http_method="POST", request_body_json={"filter": {"kind": "{{ config.user }}"}, "n": 3})},
        {"method": "POST", "body": {"json": {"filter": {"kind": "{user}"}, "n": 3}}},
    ),
    (
        "a query of GraphQL",
        {"requester": requester(http_method="POST", request_body_json={"query": "{ things { id } }"})},
        {"method": "POST", "body": {"graphql": "{ things { id } }"}},
    ),
    (
        "errors",
        {
            "requester": requester(
                error_handler={
                    "type": "DefaultErrorHandler",
                    "max_retries": 3,
                    "response_filters": [
                        {"http_codes": [403, 404], "action": "IGNORE"},
                        {"http_codes": [429], "action": "RETRY"},
                        {"predicate": "{{ response['error'] == 'gone' }}", "action": "FAIL"},
                        {"error_message_contains": "a.b", "action": "RETRY"},
                    ],
                }
            )
        },
        {
            "errors": [
                {"when": {"status": [403, 404]}, "then": "skip"},
                {"when": {"match": "error == 'gone'"}, "then": "fail"},
                {"when": {"text": "a\\.b"}, "then": "retry", "retries": 3},
            ]
        },
    ),
    (
        "a wait",
        {
            "requester": requester(
                error_handler={
                    "type": "DefaultErrorHandler",
                    "backoff_strategies": [{"type": "WaitUntilTimeFromHeader", "header": "X-Reset"}],
                }
            )
        },
        {"errors": [{"when": {"status": [429]}, "then": "retry", "wait": {"header": "X-Reset", "unit": "epoch"}}]},
    ),
    (
        "lists",
        {
            "partition_router": [
                {"type": "ListPartitionRouter", "cursor_field": "region", "values": ["eu", "us"], "request_option": option("r")},
                {"type": "ListPartitionRouter", "cursor_field": "site", "values": "{{ config['regions'] }}"},
            ],
            "requester": requester(path="sites/{{ stream_partition.site }}"),
        },
        {
            "partitions": {"region": {"values": ["eu", "us"]}, "site": {"variable": "regions"}},
            "params": {"r": "{partition.region}"},
            "path": "/sites/{partition.site}",
        },
    ),
    (
        "a filter",
        {
            "record_selector": {
                "extractor": {"field_path": ["a", "b"]},
                "record_filter": {"condition": "{{ record.kind in ['x', 'y'] and record['ok'] == true }}"},
            }
        },
        {"records": "a.b", "filters": [{"field": "kind", "one_of": ["x", "y"]}, {"field": "ok", "one_of": ["true"]}]},
    ),
    (
        "a filter that computes",
        {"record_selector": {"extractor": {"field_path": ["a"]}, "record_filter": {"condition": "{{ record.n > 3 }}"}}},
        {"records": "a[?n > `3`]"},
    ),
    ("values of a map", {"record_selector": {"extractor": {"field_path": ["a", "*"]}}}, {"records": "a", "map_key": "_name"}),
    ("lists of lists", {"record_selector": {"extractor": {"field_path": ["a", "*", "b"]}}}, {"records": "(a[*].b || a.*.b)[]"}),
    ("lines of CSV in gzip", {"decoder": {"type": "GzipDecoder", "decoder": {"type": "CsvDecoder"}}}, {"response": "csv"}),
]


@pytest.mark.parametrize(("retriever", "words"), [case[1:] for case in PARTS], ids=[case[0] for case in PARTS])
def test_a_part_of_a_retriever_is_said_in_our_words(tmp_path: Path, retriever: dict[str, Any], words: dict[str, Any]) -> None:
    draft = converted(tmp_path, stream(retriever=retriever), stream("other", asks={"path": "o"}))
    (found, other) = draft.streams
    assert {name: found.get(name) for name in words} == words
    assert not [remark for remark in draft.remarks if remark.lost]
    assert other["name"] == "other"


def auth(kind: str, **more: Any) -> dict[str, Any]:
    return {"authenticator": {"type": kind, **more}}


AUTHS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("bearer", auth("BearerAuthenticator", api_token=KEY), {"type": "bearer"}),
    ("basic", auth("BasicHttpAuthenticator", username="{{ config['user'] }}", password=KEY), {"type": "basic"}),
    ("a key as user", auth("BasicHttpAuthenticator", username=KEY), {"type": "basic", "login": "{password}", "password": ""}),
    (
        "a key",
        auth("ApiKeyAuthenticator", api_token=f"Token {KEY}", inject_into=option("Authorization", "header")),
        {"type": "api_key", "header": "Authorization", "value": "Token {password}"},
    ),
    ("a key in the query", auth("ApiKeyAuthenticator", api_token=KEY, inject_into=option("k")), {"type": "api_key", "param": "k"}),
    ("a secret header", {"request_headers": {"X-Key": KEY, "X-User": "{{ config['user'] }}"}}, {"type": "api_key", "header": "X-Key"}),
    (
        "a secret beside a bearer",
        {**auth("BearerAuthenticator", api_token=KEY), "request_parameters": {"s": "{{ config['client_secret'] }}"}},
        {"type": "api_key", "send": {"headers": {"Authorization": "Bearer {password}"}, "params": {"s": "{client_secret}"}}},
    ),
    (
        "client credentials",
        auth(
            "OAuthAuthenticator",
            token_refresh_endpoint="https://id.acme.example/token",
            grant_type="client_credentials",
            client_id="{{ config['client_id'] }}",
            client_secret="{{ config['client_secret'] }}",
            scopes=["read"],
        ),
        {"type": "oauth2", "grant": "client_credentials", "token_path": "https://id.acme.example/token", "scopes": ["read"]},
    ),
    (
        "a refresh token",
        auth(
            "OAuthAuthenticator",
            token_refresh_endpoint="https://id.acme.example/token",
            client_id="{{ config['client_id'] }}",
            client_secret="{{ config['client_secret'] }}",
            refresh_token="{{ config['refresh_token'] }}",
            expires_in_name="ttl",
        ),
        {"type": "oauth2", "token_path": "https://id.acme.example/token", "request": {"expires": "ttl"}},
    ),
    (
        "a session",
        auth(
            "SessionTokenAuthenticator",
            session_token_path=["data", "token"],
            expiration_duration="PT1H",
            login_requester=requester(
                path="login", http_method="POST", request_body_json={"name": "{{ config['user'] }}", "password": KEY}
            ),
            request_authentication={"type": "ApiKey", "inject_into": option("X-Session", "header")},
        ),
        {
            "type": "session",
            "login_path": "https://api.acme.example/v1/login",
            "request": {"token": "data.token", "encoding": "json", "fields": {"name": "{login}", "password": "{password}"}},
            "lifetime": "1h",
            "send": {"headers": {"X-Session": "{token}"}},
        },
    ),
    (
        "our own token",
        auth("JwtAuthenticator", secret_key=KEY, algorithm="HS256", token_duration=60, jwt_payload={"iss": "{{ config['user'] }}"}),
        {"type": "jwt", "jwt": {"algorithm": "HS256", "claims": {"iss": "{login}"}, "lifetime": "60s"}},
    ),
]


@pytest.mark.parametrize(("asks", "words"), [case[1:] for case in AUTHS], ids=[case[0] for case in AUTHS])
def test_an_authenticator_is_one_of_ours_and_no_secret_becomes_a_variable(
    tmp_path: Path, asks: dict[str, Any], words: dict[str, Any]
) -> None:
    draft = converted(tmp_path, stream(asks=asks))
    found = {name: value for name, value in draft.head["auth"].items() if name != "form"}
    found["request"] = {name: inner for name, inner in found.get("request", {}).items()} or None
    assert {name: found[name] for name in words} == words
    assert not {"api_key", "client_secret", "refresh_token"} & set(draft.head.get("variables", {}))


def test_a_login_that_is_put_together_and_a_choice_of_secrets_are_one_field_each(tmp_path: Path) -> None:
    choice = "{{ config['api_key'] if config['user'] == 'x' else config['client_secret'] }}"
    asks = auth("BasicHttpAuthenticator", username="{{ config['user'] + '/token' }}", password=choice)
    found = converted(tmp_path, stream(asks=asks)).head["auth"]
    assert (found["type"], found["login"], found.get("password")) == ("basic", "{login}/token", None)


def test_what_parameters_decide_is_decided_and_times_of_settings_have_their_format(tmp_path: Path) -> None:
    asks = {
        "path": "{{ parameters.get('at') or parameters['name'] }}",
        "request_parameters": {"q": "{{ config['user_' + parameters.name] }}", "after": "{{ timestamp(config['start_date']) * 1000 }}"},
    }
    draft = converted(tmp_path, {**stream(asks=asks), "$parameters": {"name": "things"}})
    (found,) = draft.streams
    assert (found["path"], found["params"]) == ("/things", {"q": "{user_things}", "after": "{start_date}"})
    assert draft.head["variables"]["start_date"] == {"type": "time", "format": "epoch_ms"}


def test_an_account_chooses_among_authenticators(tmp_path: Path) -> None:
    ways = {
        "key": {"type": "BearerAuthenticator", "api_token": KEY},
        "login": {"type": "BasicHttpAuthenticator", "username": "{{ config['user'] }}", "password": KEY},
    }
    asks = {
        "authenticator": {"type": "SelectiveAuthenticator", "authenticator_selection_path": ["credentials", "type"], "authenticators": ways}
    }
    draft = converted(tmp_path, stream(asks=asks))
    assert draft.head["auth"]["type"] == "bearer"
    assert draft.head["other_auths"] == {"login": {"type": "basic"}}


def cursor(**more: Any) -> dict[str, Any]:
    return {
        "incremental_sync": {
            "type": "DatetimeBasedCursor",
            "cursor_field": "updated",
            "datetime_format": "%Y-%m-%dT%H:%M:%SZ",
            "start_datetime": {"type": "MinMaxDatetime", "datetime": "{{ config['start_date'] }}"},
            **more,
        }
    }


CURSORS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "by a parameter",
        cursor(start_time_option=option("since"), lookback_window="P3D"),
        {"field": "updated", "since": "since", "format": "iso_seconds", "lookback": "3d", "start": "{start_date}"},
    ),
    (
        "by spans",
        cursor(start_time_option=option("from"), end_time_option=option("to"), step="P1M", cursor_granularity="PT1S", datetime_format="%s"),
        {
            "field": "updated",
            "since": "from",
            "until": "to",
            "format": "epoch",
            "start": "{start_date}",
            "windows": {"step": "30d", "granularity": "1s"},
        },
    ),
    (
        "by spans of a setting",
        cursor(start_time_option=option("from"), step="P{{ config.get('days', 7) }}D"),
        {"field": "updated", "since": "from", "format": "iso_seconds", "start": "{start_date}", "windows": {"step": "{days}"}},
    ),
    (
        "from a fixed day",
        cursor(start_time_option=option("from"), start_datetime="2021-03-01T00:00:00Z"),
        {"field": "updated", "since": "from", "format": "iso_seconds", "start": "2021-03-01"},
    ),
    (
        "from so many days ago",
        cursor(start_time_option=option("from"), start_datetime={"datetime": "{{ day_delta(-30) }}"}),
        {"field": "updated", "since": "from", "format": "iso_seconds", "start": "30d"},
    ),
    (
        "from a setting in another notation",
        cursor(
            start_time_option=option("from"),
            start_datetime={"datetime": "{{ timestamp(config.start_date) | int if config.start_date else day_delta(-730, '%s') }}"},
        ),
        {"field": "updated", "since": "from", "format": "iso_seconds", "start": "{start_date}"},
    ),
    ("without a parameter", cursor(is_client_side_incremental=True), {"field": "updated", "since": None, "start": "{start_date}"}),
    (
        "by a number",
        {"incremental_sync": {"type": "IncrementingCountCursor", "cursor_field": "n", "start_value_option": option("min")}},
        {"field": "n", "type": "number", "since": "min"},
    ),
]


@pytest.mark.parametrize(("said", "words"), [case[1:] for case in CURSORS], ids=[case[0] for case in CURSORS])
def test_an_incremental_sync_is_a_cursor(tmp_path: Path, said: dict[str, Any], words: dict[str, Any]) -> None:
    (found,) = converted(tmp_path, stream(**said)).streams
    assert found["cursor"] == words


def test_bounds_inside_the_request_are_placeholders_of_one_format(tmp_path: Path) -> None:
    said = cursor()
    asks = {
        "path": "things/{{ format_datetime(stream_interval.start_time, '%Y-%m-%d') }}",
        "request_parameters": {"q": "to:{{ format_datetime(stream_slice['end_time'], '%Y-%m-%d') }}"},
    }
    (found,) = converted(tmp_path, stream(asks=asks, **said)).streams
    assert (found["path"], found["params"]) == ("/things/{start}", {"q": "to:{end}"})
    assert found["cursor"] == {"field": "updated", "format": "date", "start": "{start_date}"}


def child(name: str, parent: dict[str, Any], path: str, field: str = "parent_id", **more: Any) -> dict[str, Any]:
    config = {"type": "ParentStreamConfig", "stream": parent, "parent_key": "id", "partition_field": field}
    router = {"type": "SubstreamPartitionRouter", "parent_stream_configs": [{**config, **more.pop("config", {})}]}
    return stream(name, asks={"path": path}, retriever={"partition_router": router}, **more)


def test_streams_below_others_name_their_parents_and_grandparents(tmp_path: Path) -> None:
    teams = stream("teams", asks={"path": "teams"}, **cursor(start_time_option=option("since")))
    members = child("members", teams, "teams/{{ stream_partition.parent_id }}/members", config={"incremental_dependency": True})
    posts = child(
        "posts",
        members,
        "teams/{{ stream_slice.parent_slice.parent_id }}/members/{{ stream_slice.member }}/posts",
        "member",
        transformations=[{"type": "AddFields", "fields": [{"path": ["member_id"], "value": "{{ stream_slice.member }}"}]}],
    )
    draft = converted(tmp_path, posts, members, teams)
    found = {one["name"]: one for one in draft.streams}
    assert found["members"]["parent"] == {"stream": "teams", "changed": True}
    assert found["members"]["compute"] == {"parent_parent_id": "{parent.id}"}
    assert found["posts"]["path"] == "/teams/{parent.parent_parent_id}/members/{parent.id}/posts"
    assert found["posts"]["compute"] == {"member_id": "{parent.id}"}


def test_a_parent_that_stands_in_no_list_is_read_too(tmp_path: Path) -> None:
    draft = converted(tmp_path, child("members", stream("teams", asks={"path": "teams"}), "teams/{{ stream_partition.parent_id }}/members"))
    assert [one["name"] for one in draft.streams] == ["teams", "members"]


def test_fields_are_computed_from_the_record_constants_and_settings(tmp_path: Path) -> None:
    fields = [
        {"path": ["a"], "value": "{{ record['x']['y'] }}"},
        {"path": ["b"], "value": "fixed"},
        {"path": ["c"], "value": "{{ config['user'] }}"},
        {"path": ["d"], "value": "{{ record.x }}-{{ config.user }}"},
        {"path": ["read_at"], "value": "{{ now_utc() }}"},
    ]
    draft = converted(
        tmp_path, stream(transformations=[{"type": "AddFields", "fields": fields}, {"type": "RemoveFields", "field_pointers": [["z"]]}])
    )
    (found,) = draft.streams
    assert found["compute"] == {
        "a": "x.y",
        "b": "'fixed'",
        "c": "{user}",
        "_d_2": "{user}",
        "d": "join('', [to_string(x), '-', to_string(_d_2)])",
    }
    assert sorted(remark.kind for remark in draft.remarks) == ["a field with the time of reading", "removed fields"]


def test_a_job_is_ordered_waited_for_and_fetched(tmp_path: Path) -> None:
    retriever = {
        "type": "AsyncRetriever",
        "record_selector": {"extractor": {"field_path": []}},
        "status_mapping": {"running": ["wait"], "completed": ["ready"], "failed": ["error"], "timeout": ["late"]},
        "status_extractor": {"type": "DpathExtractor", "field_path": ["state"]},
        "download_target_extractor": {"type": "DpathExtractor", "field_path": ["url"]},
        "creation_requester": requester(path="exports", http_method="POST"),
        "polling_requester": requester(path="exports/{{ creation_response['id'] }}"),
        "download_requester": {"type": "HttpRequester", "url_base": "{{ download_target }}", "http_method": "GET"},
        "download_decoder": {"type": "CsvDecoder"},
        "decoder": {"type": "CsvDecoder"},
    }
    draft = converted(tmp_path, {"type": "DeclarativeStream", "name": "exports", "primary_key": "id", "retriever": retriever})
    (found,) = draft.streams
    assert found["job"] == {
        "create": {"path": "exports", "method": "POST"},
        "poll": {"path": "exports/{job.id}"},
        "status": "state",
        "done": ["ready"],
        "failed": ["error", "late"],
        "files": "url",
    }


def test_one_stream_of_two_is_asked_otherwise_once_it_has_a_cursor(tmp_path: Path) -> None:
    changes = stream("things", asks={"path": "events"}, **cursor(start_time_option=option("since")))
    draft = converted(
        tmp_path, {"type": "StateDelegatingStream", "name": "things", "full_refresh_stream": stream(), "incremental_stream": changes}
    )
    (found,) = draft.streams
    assert (found["path"], found["later"]) == ("/things", {"path": "events", "params": {"since": "{start}"}})


def test_references_and_parameters_come_down_to_where_they_are_named(tmp_path: Path) -> None:
    definitions = {
        "asks": {"type": "HttpRequester", "url_base": "https://api.acme.example", "path": "{{ parameters['path'] }}"},
        "base": {
            "type": "DeclarativeStream",
            "primary_key": "#/definitions/key",
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {"$ref": "#/definitions/asks", "http_method": "POST"},
                "record_selector": {"extractor": {"field_path": ["{{ parameters.name }}"]}},
            },
        },
        "key": ["id", "site"],
        "things": {"$ref": "#/definitions/base", "$parameters": {"name": "things", "path": "v1/things"}},
    }
    (found,) = converted(tmp_path, "#/definitions/things", definitions=definitions).streams  # type: ignore[arg-type]
    assert (found["name"], found["path"], found["method"], found["records"], found["key"]) == (
        "things",
        "/v1/things",
        "POST",
        "things",
        ["id", "site"],
    )


LOST: list[tuple[str, dict[str, Any], str]] = [
    (
        "code",
        stream("bad", retriever={"record_selector": {"extractor": {"class_name": "source.components.Odd"}}}),
        "custom code: record extractor",
    ),
    ("code below", {**stream("bad"), "retriever": {"class_name": "x.Y"}}, "custom code: retriever"),
    (
        "a setting in a filter",
        stream(
            "bad",
            retriever={
                "record_selector": {"extractor": {"field_path": []}, "record_filter": {"condition": "{{ record.k in config['regions'] }}"}}
            },
        ),
        "template: config where it is not known",
    ),
    ("arithmetic", stream("bad", asks={"request_parameters": {"n": "{{ config['days'] * 86400 }}"}}), "template: arithmetic"),
    ("a secret in a path", stream("bad", asks={"path": f"bot{KEY}/x"}), "a secret outside of headers, parameters and bodies"),
    ("a block", stream("bad", asks={"path": "{% if config.user %}a{% endif %}"}), "template: a block"),
    ("a reference to nothing", {**stream("bad"), "retriever": {"$ref": "#/definitions/none"}}, "a reference to nothing"),
    (
        "several formats",
        stream(
            "bad", asks={"path": "{{ format_datetime(stream_interval.start_time, '%Y') }}"}, **cursor(start_time_option=option("since"))
        ),
        "bounds in several formats",
    ),
    (
        "another shape",
        {
            **stream("bad"),
            "primary_key": [[{"a": 1}]],
            "retriever": stream(retriever={"paginator": {"pagination_strategy": {"type": "PageIncrement", "page_size": {}}}})["retriever"],
        },
        "",
    ),
]


@pytest.mark.parametrize(("said", "kind"), [case[1:] for case in LOST], ids=[case[0] for case in LOST])
def test_what_has_no_words_is_told_with_its_line_and_the_others_are_written(tmp_path: Path, said: dict[str, Any], kind: str) -> None:
    draft = converted(tmp_path, stream("good"), said)
    assert [one["name"] for one in draft.streams] == ["good"]
    (remark,) = [remark for remark in draft.remarks if remark.lost]
    assert remark.stream == "bad"
    assert kind in (remark.kind, "")
    assert remark.line > 10


def test_code_that_only_changes_what_was_read_or_spares_reading_leaves_a_remark(tmp_path: Path) -> None:
    said = stream(
        asks={"error_handler": {"class_name": "a.Judge"}},
        incremental_sync={"class_name": "a.Cursor", "cursor_field": "updated"},
        transformations=[{"class_name": "a.Change"}],
    )
    below = stream("below", asks={"path": "{{ stream_slice.start_time }}"}, incremental_sync={"class_name": "a.Cursor"})
    draft = converted(tmp_path, said, below)
    assert [one["name"] for one in draft.streams] == ["things"]
    assert {remark.kind for remark in draft.remarks if not remark.lost} == {
        f"custom code: {what}" for what in ("error handler", "incremental sync", "transformation")
    }
    assert draft.text().count("# ? not converted") == 3


def test_code_that_has_the_words_of_something_usual_is_taken_for_that_with_a_remark(tmp_path: Path) -> None:
    signs = {
        "class_name": "a.RotatingOauth", "token_refresh_endpoint": "https://acme.example/token", "client_id": "{{ config['client_id'] }}",
        "client_secret": "{{ config['client_secret'] }}", "refresh_token": "{{ config['refresh_token'] }}",
    }  # fmt: skip
    finds = {"extractor": {"class_name": "a.Finder", "field_path": ["data", "rows"]}}
    draft = converted(tmp_path, stream(asks={"authenticator": signs}, retriever={"record_selector": finds}))
    (found,) = draft.streams
    assert (draft.head["auth"]["type"], draft.head["auth"]["token_path"]) == ("oauth2", "https://acme.example/token")
    assert found["records"] == "data.rows"
    assert {remark.kind for remark in draft.remarks} == {"custom code: authenticator", "custom code: record extractor"}
    assert not any(remark.lost for remark in draft.remarks)


def test_each_pair_of_two_parents_is_a_parent_and_a_list_of_the_others_values(tmp_path: Path) -> None:
    def router(name: str) -> dict[str, Any]:
        return {
            "type": "SubstreamPartitionRouter",
            "parent_stream_configs": [{"stream": stream(name), "parent_key": "id", "partition_field": name}],
        }

    pairs = stream("sums", asks={"path": "{{ stream_partition.accounts }}/{{ stream_partition.months }}"})
    pairs["retriever"]["partition_router"] = [router("accounts"), router("months")]
    found = {one["name"]: one for one in converted(tmp_path, stream("accounts"), stream("months"), pairs).streams}["sums"]
    assert (found["parent"], found["partitions"]) == ({"stream": "accounts"}, {"months": {"stream": "months", "field": "id"}})
    assert found["path"].endswith("{parent.id}/{partition.months}")


def test_a_default_behind_or_is_no_value_of_the_setting(tmp_path: Path) -> None:
    draft = converted(tmp_path, stream(asks={"request_parameters": {"days": "{{ config['days'] or '100' }}"}}))
    assert draft.streams[0]["params"] == {"days": "{days}"}
    assert "days" in draft.head["variables"]


def test_a_list_may_be_referred_to_as_a_component_is(tmp_path: Path) -> None:
    routers = [
        {
            "type": "SubstreamPartitionRouter",
            "parent_stream_configs": [{"stream": stream("orders"), "parent_key": "id", "partition_field": "order"}],
        }
    ]
    below = stream("lines", asks={"path": "orders/{{ stream_partition.order }}/lines"})
    below["retriever"]["partition_router"] = {"$ref": "#/definitions/routers"}
    draft = converted(tmp_path, stream("orders"), below, definitions={"routers": routers})
    assert {one["name"]: one.get("parent") for one in draft.streams}["lines"] == {"stream": "orders"}


@pytest.mark.parametrize("said", ["{{ next_page_token.next_page_token }},50", "'{{ next_page_token['next_page_token'] or '0' }},50'"])
def test_a_token_inside_of_a_parameter_is_written_by_the_paging(tmp_path: Path, said: str) -> None:
    pages = paginator({"type": "OffsetIncrement", "page_size": 50})
    draft = converted(tmp_path, stream(asks={"request_parameters": {"limit": said}}, retriever=pages))
    paging = draft.streams[0]["paging"]
    assert {name: paging[name] for name in ("type", "param", "value")} == {"type": "offset", "param": "limit", "value": "{page},50"}


def test_a_circle_of_references_ends(tmp_path: Path) -> None:
    circle = {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}
    draft = converted(tmp_path, stream("good"), {**stream("bad"), "retriever": {"$ref": "#/definitions/a"}}, definitions=circle)
    assert [remark.kind for remark in draft.remarks if remark.lost] == ["references in circles"]


def test_what_is_guessed_is_marked_above_its_line(tmp_path: Path) -> None:
    draft = converted(tmp_path, {**stream(), "primary_key": None})
    lines = draft.text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == "key: hash")
    assert lines[at - 1].strip().startswith("# ? the manifest names no key") or lines[at - 2].strip().startswith(
        "# ? the manifest names no key"
    )


def test_nothing_that_converts_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    draft = converted(tmp_path, {**stream("bad"), "retriever": {"class_name": "x.Odd"}})
    with pytest.raises(ConfigError, match=r"nothing of it converts: line \d+: bad: it is read by code: Odd"):
        draft.require_streams()


@given(st.text(alphabet="abr{}%[]().'\"| +-*/~=<>!,0123456789 _", max_size=60))
def test_no_template_whatever_it_is_breaks_the_reading(text: str) -> None:
    with suppress(Untold):
        node = expression_of(f"{{{{ {text} }}}}", {})
        found = jmespath(node, {"a": "", "b": "b"}) if node is not None else ""
        assert isinstance(found, str)
