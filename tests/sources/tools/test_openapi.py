"""A description in OpenAPI becomes a source's file: lists become streams, and what is guessed is marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spine.core.errors import ConfigError
from spine.sources.tools.drafts import Draft
from spine.sources.tools.openapi import convert_openapi

THING = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "updated_at": {"type": "string", "format": "date-time"}},
}


def query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string", **schema}}


def lists(schema: dict[str, Any], *parameters: dict[str, Any], headers: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    answer = {"description": "ok", "content": {"application/json": {"schema": schema}}, "headers": headers or {}}
    return {"get": {"parameters": list(parameters), "responses": {"200": answer}, **more}}


def within(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"data": {"type": "array", "items": THING}, **fields}}


def converted(folder: Path, paths: dict[str, Any], **more: Any) -> Draft:
    path = folder / "api.json"
    servers = [{"url": "https://api.acme.example/v1"}]
    path.write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "Acme"}, "servers": servers, "paths": paths, **more}))
    return convert_openapi(path, "acme")[0]


TEXT = {"type": "string"}
PAGINGS: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("one page", lists(within()), None),
    (
        "a Link header",
        lists({"type": "array", "items": THING}, query("per_page", maximum=50), headers={"Link": {"schema": TEXT}}),
        {"type": "link_header", "size": 50, "size_param": "per_page"},
    ),
    (
        "a token",
        lists(within(meta={"type": "object", "properties": {"next_cursor": TEXT}}), query("cursor"), query("limit", maximum=200)),
        {"type": "next_token", "next": "meta.next_cursor", "param": "cursor", "size": 200, "size_param": "limit"},
    ),
    (
        "Google's token",
        lists(within(nextPageToken=TEXT), query("pageToken"), query("pageSize", maximum=100)),
        {"type": "next_token", "next": "nextPageToken", "param": "pageToken", "size": 100, "size_param": "pageSize"},
    ),
    (
        "after the last one",
        lists(within(has_more={"type": "boolean"}), query("starting_after")),
        {"type": "keyset", "field": "id", "param": "starting_after", "next": "has_more"},
    ),
    (
        "an address",
        lists(within(links={"type": "object", "properties": {"next": TEXT}}), query("page")),
        {"type": "next_url", "next": "links.next"},
    ),
    (
        "an offset",
        lists(within(total={"type": "integer"}), query("offset"), query("limit")),
        {"type": "offset", "param": "offset", "total": "total", "size": 100, "size_param": "limit"},
    ),
    ("pages from 0", lists(within(), query("page", type="integer", default=0)), {"type": "page", "param": "page", "first": 0}),
]


@pytest.mark.parametrize(("operation", "paging"), [case[1:] for case in PAGINGS], ids=[case[0] for case in PAGINGS])
def test_how_pages_are_turned_is_told_by_parameters_and_answer(
    tmp_path: Path, operation: dict[str, Any], paging: dict[str, Any] | None
) -> None:
    (found,) = converted(tmp_path, {"/things": operation}).streams
    assert found.get("paging") == paging


AUTHS: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ("bearer", {"a": {"type": "http", "scheme": "bearer"}}, [{"a": []}], {"type": "bearer"}),
    ("basic", {"a": {"type": "http", "scheme": "Basic"}}, [{"a": []}], {"type": "basic"}),
    ("a key in a header", {"a": {"type": "apiKey", "in": "header", "name": "X-Key"}}, [{"a": []}], {"type": "api_key", "header": "X-Key"}),
    ("a key in the query", {"a": {"type": "apiKey", "in": "query", "name": "key"}}, [{"a": []}], {"type": "api_key", "param": "key"}),
    (
        "a key in a cookie",
        {"a": {"type": "apiKey", "in": "cookie", "name": "sid"}},
        [{"a": []}],
        {"type": "api_key", "send": {"cookies": {"sid": "{password}"}}},
    ),
    (
        "a key behind a word",
        {"a": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Authorization: SSWS {key}`"}},
        [{"a": []}],
        {"type": "api_key", "header": "Authorization", "value": "SSWS {password}"},
    ),
    (
        "two keys",
        {"id": {"type": "apiKey", "in": "header", "name": "Client-Id"}, "key": {"type": "apiKey", "in": "header", "name": "Secret"}},
        [{"id": [], "key": []}],
        {"type": "api_key", "send": {"headers": {"Client-Id": "{login}", "Secret": "{password}"}}},
    ),
    (
        "client credentials",
        {
            "a": {
                "type": "oauth2",
                "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {"things.read": "", "things.write": ""}}},
            }
        },
        [{"a": []}],
        {"type": "oauth2", "grant": "client_credentials", "token_path": "/token", "scopes": ["things.read"]},
    ),
    (
        "a person's consent",
        {"a": {"type": "oauth2", "flows": {"authorizationCode": {"tokenUrl": "/token", "authorizationUrl": "/ask", "scopes": {}}}}},
        [{"a": []}],
        {"type": "oauth2", "grant": "authorization_code", "token_path": "/token", "authorize_path": "/ask"},
    ),
]


@pytest.mark.parametrize(("schemes", "security", "auth"), [case[1:] for case in AUTHS], ids=[case[0] for case in AUTHS])
def test_security_is_a_kind_of_authentication(tmp_path: Path, schemes: dict[str, Any], security: list[Any], auth: dict[str, Any]) -> None:
    draft = converted(tmp_path, {"/things": lists(within())}, security=security, components={"securitySchemes": schemes})
    assert draft.head["auth"] == auth


def test_other_ways_to_sign_are_chosen_by_the_account(tmp_path: Path) -> None:
    schemes = {"login": {"type": "http", "scheme": "basic"}, "token": {"type": "http", "scheme": "bearer"}}
    draft = converted(
        tmp_path, {"/things": lists(within())}, security=[{"login": []}, {"token": []}], components={"securitySchemes": schemes}
    )
    assert (draft.head["auth"], draft.head["other_auths"]) == ({"type": "bearer"}, {"login": {"type": "basic"}})


def test_lists_below_others_are_read_for_each_of_them(tmp_path: Path) -> None:
    array = {"type": "array", "items": THING}
    paths = {
        "/orgs": lists(array),
        "/orgs/{org}/teams": lists(array),
        "/orgs/{org}/teams/{team_id}/members": lists(array),
        "/things/{thing_id}": lists(THING),
        "/sites/{site}/pages": lists(array),
    }
    draft = converted(tmp_path, paths)
    found = {one["name"]: one for one in draft.streams}
    assert found["teams"]["path"] == "/orgs/{parent.name}/teams"
    assert found["teams"]["compute"] == {"parent_org": "{parent.name}"}
    assert found["members"]["path"] == "/orgs/{parent.parent_org}/teams/{parent.id}/members"
    assert found["members"]["parent"] == {"stream": "teams"}
    assert (found["pages"]["path"], draft.head["variables"]) == ("/sites/{site}/pages", {"site": {}})
    assert set(found) == {"orgs", "teams", "members", "pages"}


def test_an_answer_about_one_thing_is_no_list_of_what_it_has_inside(tmp_path: Path) -> None:
    about = {
        "type": "object",
        "properties": {"colours": {"type": "array", "items": THING}, "themes": {"type": "array", "items": THING}, "user": THING},
    }
    assert [one["name"] for one in converted(tmp_path, {"/about": lists(about), "/things": lists(within())}).streams] == ["things"]


def test_changes_are_asked_for_by_the_parameter_that_says_so(tmp_path: Path) -> None:
    (found,) = converted(tmp_path, {"/things": lists(within(), query("updated_since", format="date"))}).streams
    assert found["cursor"] == {"field": "updated_at", "since": "updated_since", "format": "date"}


def test_a_doubtful_guess_is_a_remark_above_its_word(tmp_path: Path) -> None:
    bare = {"type": "array", "items": {"type": "object", "properties": {"title": TEXT}}}
    text = converted(tmp_path, {"/things": lists(bare, query("since"), query("after"))}).text()
    assert "    # ? the schema has no id: equal content is one record\n    key: hash\n" in text
    assert "# ? where the token comes from is not said" in text


def test_parts_of_a_schema_are_put_together_and_circles_end(tmp_path: Path) -> None:
    schemas = {
        "Base": {"type": "object", "properties": {"id": TEXT}},
        "Thing": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"properties": {"up": {"$ref": "#/components/schemas/Thing"}}}]},
        "Page": {
            "properties": {
                "things": {"items": {"$ref": "#/components/schemas/Thing"}, "type": ["array", "null"]},
                "page": {"$ref": "#/components/schemas/Page"},
            }
        },
        "Loop": {"$ref": "#/components/schemas/Loop"},
        "Knot": {"allOf": [{"$ref": "#/components/schemas/Knot"}]},
    }
    paths = {
        f"/{name}": lists({"$ref": f"#/components/schemas/{ref}"})
        for name, ref in (("things", "Page"), ("loops", "Loop"), ("knots", "Knot"))
    }
    draft = converted(tmp_path, paths, components={"schemas": schemas})
    assert [(one["name"], one["records"], one["key"]) for one in draft.streams] == [("things", "things", ["id"])]
    assert [remark.kind for remark in draft.remarks] == ["references outside"]


def test_nothing_outside_the_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"type": "array", "items": {"type": "object"}}')
    paths = {"/a": lists({"$ref": f"file://{tmp_path}/secret.json"}), "/b": lists({"$ref": "secret.json"}), "/c": lists(within())}
    assert [one["name"] for one in converted(tmp_path, paths).streams] == ["c"]


def test_required_parameters_have_the_values_given_or_are_variables(tmp_path: Path) -> None:
    needed = [
        {**query("account"), "required": True},
        {**query("kind", enum=["all", "some"]), "required": True},
        {"name": "Api-Version", "in": "header", "schema": {"default": "7"}},
    ]
    draft = converted(tmp_path, {"/things": lists(within(), *needed)})
    assert (draft.streams[0]["params"], draft.streams[0]["headers"]) == ({"account": "{account}", "kind": "all"}, {"Api-Version": "7"})
    assert draft.head["variables"] == {"account": {"description": ""}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"swagger": "2.0", "paths": {}}', "Swagger 2"),
        ("[1, 2]", "no map"),
        ("{", "not YAML"),
        ('{"openapi": "3.0.0", "paths": 7}', "nothing of it converts"),
    ],
)
def test_what_is_no_description_is_an_error_that_says_so(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "api.json").write_text(text)
    with pytest.raises(ConfigError, match=why):
        convert_openapi(tmp_path / "api.json", "acme")[0].require_streams()
