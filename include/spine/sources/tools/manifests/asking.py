"""Requesters as words of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.sources.tools.documents import Map
from spine.sources.tools.drafts import Untold
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling, TokenAlone

Placed = tuple[str, str]  # where a token is (query, header, body), and under which name


@dataclass
class Asked:
    """A request: its address, its words, secrets that it carries by itself, and where the page's token stands if it names that."""

    base: str = ""
    words: dict[str, Any] = field(default_factory=dict)
    secret_headers: dict[str, str] = field(default_factory=dict)
    secret_params: dict[str, str] = field(default_factory=dict)
    token: Placed | None = None
    token_text: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def asked_by(requester: Component, filling: Filling) -> Asked:
    """What a requester asks. Raises Untold."""
    if requester.custom:
        raise Untold("custom code: requester", f"its requests are made by code: {requester.type}", requester.line)
    made = Asked()
    filling.choosing = True  # the account's own address is its Connection's host, so that any of several will do here
    made.base = _text(requester, "url_base", filling) or _text(requester, "url", filling)
    filling.choosing = False
    path = _text(requester, "path", filling)
    made.words["path"] = path
    method = (requester.text("http_method") or "GET").upper()
    if method != "GET":
        made.words["method"] = method
    _params(requester, filling, made)
    _headers(requester, filling, made)
    body = _body(requester, filling, made)
    if body:
        made.words["body"] = body
    if not made.words["path"]:
        del made.words["path"]
    return made


def _text(requester: Component, name: str, filling: Filling) -> str:
    said = requester.text(name)
    try:
        return str(filling.text(said, requester.parameters))
    except TokenAlone:
        raise Untold("the page's token as an address", "", requester.line_of(name)) from None


def _params(requester: Component, filling: Filling, made: Asked) -> None:
    said = requester.value("request_parameters")
    if isinstance(said, str) and said.strip():
        raise Untold("template: all parameters in one text", "its parameters are one template", requester.line_of("request_parameters"))
    params: dict[str, Any] = {}
    for name, value, line in requester.items("request_parameters"):
        name = filling.text(name, requester.parameters)
        if isinstance(value, Map):
            inner = Component(value, requester._root, requester.parameters)
            if inner.type != "QueryProperties":
                raise Untold("a parameter that is an object", f"the parameter {name} is an object", line)
            params[name] = "{fields}"
            made.fields = fields_of(inner, filling)
            continue
        found = _placed(value, requester, filling, made, "query", name)
        if found is None:
            continue
        if filling.secret:
            made.secret_params[name] = found
        elif found != "" and found != []:
            params[name] = found
    lists = {f"{{{name}}}" for name, one in filling.settings.variables.items() if one.get("type") == "list"}
    if params:
        made.words["params"] = params
        if any(value in lists for value in params.values() if isinstance(value, str)):
            made.words["lists"] = "comma"


def _headers(requester: Component, filling: Filling, made: Asked) -> None:
    said = requester.value("request_headers")
    if isinstance(said, str) and said.strip():
        raise Untold("template: all headers in one text", "its headers are one template", requester.line_of("request_headers"))
    headers: dict[str, str] = {}
    for name, value, _ in requester.items("request_headers"):
        found = _placed(value, requester, filling, made, "header", name)
        if found is None or found == "":
            continue
        if filling.secret:
            made.secret_headers[name] = found
        elif name.lower() not in ("content-type", "accept") or "json" not in str(found):
            headers[name] = str(found)
    if headers:
        made.words["headers"] = headers


def _placed(value: Any, requester: Component, filling: Filling, made: Asked, place: str, name: str) -> Any:
    """A value of a request, None where it is the page's token: that is the paging's."""
    filling.secret = False
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [filling.text(item, requester.parameters) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return filling.text(value.strip(), requester.parameters, secrets=True)
    except TokenAlone as token:
        made.token, made.token_text = (place, name), token.text
        return None


def _body(requester: Component, filling: Filling, made: Asked) -> dict[str, Any]:
    typed = requester.get("request_body")
    if typed is not None:
        kind = {"RequestBodyGraphQL": "graphql", "RequestBodyJsonObject": "json", "RequestBodyUrlEncodedForm": "form"}.get(typed.type)
        if kind is None:
            raise Untold("a body of plain text", "its body is a text", typed.line)
        said = {name: value for name, value, _ in typed.items("value")}
        if kind == "graphql":
            return _graphql(said, requester, filling, made)
        return {kind: _filled(said, requester, filling, made, ())}
    for name, kind in (("request_body_json", "json"), ("request_body_data", "form")):
        value = requester.value(name)
        if isinstance(value, str) and value.strip():
            raise Untold("template: the whole body in one text", "its body is one template", requester.line_of(name))
        said = {key: inner for key, inner, _ in requester.items(name)}
        if said and kind == "json" and set(said) <= {"query", "variables"} and "{{" not in str(said.get("query")):
            return _graphql(said, requester, filling, made)
        if said:
            found = _filled(said, requester, filling, made, ())
            return {kind: found} if found else {}
    return {}


def _graphql(said: Mapping[str, Any], requester: Component, filling: Filling, made: Asked) -> dict[str, Any]:
    query = str(said.get("query") or "")
    if "{{" in query:
        raise Untold("template: inside a query of GraphQL", "", requester.line)
    variables = _filled(requester.plain(said.get("variables") or {}), requester, filling, made, ("variables",))
    return {"graphql": query.strip(), **({"variables": variables} if variables else {})}


def _filled(value: Any, requester: Component, filling: Filling, made: Asked, at: tuple[str, ...]) -> Any:
    value = requester.plain(value)
    if isinstance(value, Mapping):
        if value.get("type") == "QueryProperties":
            raise Untold("a list of fields in a body", "", requester.line)
        found = {
            filling.text(key, requester.parameters): _filled(inner, requester, filling, made, (*at, str(key)))
            for key, inner in value.items()
        }
        return {key: inner for key, inner in found.items() if inner is not None}
    if isinstance(value, list):
        return [_filled(inner, requester, filling, made, at) for inner in value]
    if not isinstance(value, str):
        return value
    filling.secret = False
    try:
        text = filling.text(value, requester.parameters, secrets=True)
    except TokenAlone as token:
        made.token, made.token_text = ("body", ".".join(at)), token.text
        return None
    if filling.secret:
        raise Untold("a secret in a body", "a secret stands in the body", requester.line)
    return text


def fields_of(found: Component, filling: Filling) -> dict[str, Any]:
    """The words for the fields that are asked for."""
    made: dict[str, Any] = {}
    listed = found.value("property_list")
    chunk = found.get("property_chunking")
    more: dict[str, Any] = {}
    always = found.value("always_include_properties")
    if isinstance(always, list) and always:
        more["always"] = [str(name) for name in always]
    if chunk is not None and chunk.text("property_limit_type") == "property_count":
        more["chunk"] = int(chunk.value("property_limit") or 100)
    elif chunk is not None:
        raise Untold("fields in chunks of characters", "fields are asked for in chunks of so many characters", chunk.line)
    if isinstance(listed, list):
        made["fields"] = [str(name) for name in listed]
    else:
        source = found.get("property_list")
        retriever = source.get("retriever") if source else None
        requester = retriever.get("requester") if retriever else None
        if source is None or retriever is None or requester is None:
            raise Untold("a list of fields that is none", "", found.line)
        asked = asked_by(requester, filling)
        more |= {key: value for key, value in asked.words.items() if key in ("path", "method", "params", "headers", "body")}
        selector = retriever.get("record_selector")
        extractor = selector.get("extractor") if selector else None
        steps = [*((extractor.value("field_path") or []) if extractor else []), *(source.value("property_field_path") or [])]
        *outer, last = [str(step) for step in steps] or ["@"]
        more["names"] = f"{'.'.join(outer) or '@'}[].{last}" if len(steps) > 1 else f"[].{last}"
    return made | ({"field_list": more} if more else {})
