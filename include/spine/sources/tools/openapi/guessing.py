"""Guesses about an operation that lists something, from its parameters and the schema of its answer: records, key, paging, cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spine.sources.tools.openapi.document import Api, Operation, kind_of

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_HOLDERS = (
    "data",
    "items",
    "results",
    "records",
    "value",
    "values",
    "entries",
    "list",
    "rows",
    "objects",
    "resources",
    "members",
    "content",
)
_SIZES = (
    "limit",
    "per_page",
    "perpage",
    "page_size",
    "pagesize",
    "maxresults",
    "max_results",
    "$top",
    "top",
    "size",
    "count",
    "first",
    "page[size]",
)
_TOKENS = (
    "cursor",
    "page_token",
    "pagetoken",
    "next_token",
    "nexttoken",
    "starting_after",
    "startingafter",
    "after",
    "next_cursor",
    "page[cursor]",
    "page[after]",
    "continuation_token",
    "continuationtoken",
    "continuation",
    "marker",
    "bookmark",
    "scroll_param",
    "pagination_token",
    "start_cursor",
)
_OFFSETS = ("offset", "skip", "$skip", "start", "startat", "start_index", "startindex", "page[offset]")
_PAGES = ("page", "page_number", "pagenumber", "page[number]", "pageno", "page_no", "currentpage")
_SINCE = (
    "updated_since",
    "updated_after",
    "modified_since",
    "modified_after",
    "updatedsince",
    "updatedafter",
    "modifiedsince",
    "updated_at[gte]",
    "updated_at[gt]",
    "updated[gte]",
    "updated_at_min",
    "updated_from",
    "lastmodified",
    "last_modified",
    "updated_gte",
    "min_updated_at",
    "since",
    "updatedmin",
    "created_since",
    "created_after",
    "createdafter",
    "created[gte]",
    "created[gt]",
)
_UPDATED = (
    "updated_at",
    "updatedat",
    "modified_at",
    "modifiedat",
    "last_updated",
    "lastupdated",
    "updated",
    "modified",
    "last_modified",
    "lastmodified",
    "date_updated",
    "dateupdated",
    "lastmodifieddate",
    "modifiedtime",
    "last_updated_at",
    "updated_on",
    "modified_on",
    "updatedtime",
)
_CREATED = (
    "created_at",
    "createdat",
    "created",
    "date_created",
    "datecreated",
    "createdtime",
    "timestamp",
    "published",
    "date",
    "time",
    "created_on",
)
_KEYS = ("id", "_id", "uuid", "guid", "sid", "uid", "key", "gid", "self")
_TOTALS = ("total", "total_count", "totalcount", "total_results", "totalresults", "totalitems", "total_items")
_LARGEST = 5000
Found = dict[str, Any]


@dataclass
class Guess:
    """What is thought of an operation, and the doubts by word."""

    records: str = "@"
    item: dict[str, Any] = field(default_factory=dict)
    words: Found = field(default_factory=dict)
    doubts: list[tuple[str, str]] = field(default_factory=list)


def guess(api: Api, operation: Operation) -> Guess | None:
    """The guess, None for an operation that lists nothing."""
    schema, headers = api.answer(operation)
    place = _records(api, schema, operation)
    single = bool(operation.steps) and operation.steps[-1].removesuffix(".json").endswith("}")
    if place is None or (single and "." in place[0]):
        return None
    made = Guess(place[0], place[1])
    if place[0] != "@":
        made.words["records"] = place[0]
    if place[2]:
        made.doubts.append(("records", place[2]))
    if place[3]:
        made.words["map_key"] = "_name"
    _key(api, operation, made)
    names = {str(one["name"]).lower(): one for one in operation.parameters if one.get("in") == "query"}
    _cursor(api, names, made)
    _paging(api, operation, schema, headers, names, made)
    return made


def step(name: str) -> str:
    """A name as a step of a JMESPath."""
    return name if _PLAIN.fullmatch(name) else f'"{name}"'


def _records(api: Api, schema: dict[str, Any], operation: Operation, depth: int = 0) -> tuple[str, dict[str, Any], str, bool] | None:
    """Where the records are, what one is, a doubt, and whether they are the values of a map."""
    if kind_of(schema) == "array":
        item = api.schema(schema.get("items"))
        return ("@", item, "", False) if kind_of(item) in ("object", "") else None
    properties = api.properties(schema)
    lists = {name: api.schema(inner.get("items")) for name, inner in properties.items() if kind_of(inner) == "array"}
    lists = {name: item for name, item in lists.items() if kind_of(item) == "object" or not item}
    named = {name.lower() for name in _last_words(operation)}
    # A record that is asked for by its id has lists inside as well; those are no answer's records.
    if lists and (depth or not _is_single(operation, properties)):
        best = next((name for name in lists if name.lower() in named), None) or next((name for name in _HOLDERS if name in lists), None)
        if best or len(lists) == 1:  # several lists of which none has the name of what is asked for are facts about one thing
            best = best or next(iter(lists))
            return step(best), lists[best], "", False
    if depth < 2:
        for name in (*[name for name in properties if name.lower() in named], *_HOLDERS, "response", "result", "_embedded"):
            inner = properties.get(name)
            found = _records(api, inner, operation, depth + 1) if inner is not None and kind_of(inner) == "object" else None
            if found is not None:
                return f"{step(name)}.{found[0]}" if found[0] != "@" else step(name), *found[1:]
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and not properties and kind_of(item := api.schema(more)) == "object":
        return "@", item, "the answer is a map whose values are the records", True
    return None


def _last_words(operation: Operation) -> list[str]:
    """What an operation is about: the last fixed parts of its path, and its tags."""
    fixed = [one.removesuffix(".json") for one in operation.steps if "{" not in one]
    return [*fixed[-1:], *re.split(r"[._]", fixed[-1])[:1]] if fixed else []


def _is_single(operation: Operation, properties: dict[str, Any]) -> bool:
    """Whether the answer is one record: its path ends in an id, or it has an id of its own."""
    last = operation.steps[-1] if operation.steps else ""
    return last.removesuffix(".json").endswith("}") or any(name.lower() in ("id", "_id", "uuid") for name in properties)


def _key(api: Api, operation: Operation, made: Guess) -> None:
    properties = {name.lower(): name for name in api.properties(made.item)}
    about = (_last_words(operation) or [""])[0].lower()
    single = about.removesuffix("s").removesuffix("ie")
    own = [f"{single}_id", f"{single}id", f"{about}_id", f"{single}_key", f"{single}_uuid"]
    found = next((properties[name] for name in (*_KEYS[:2], *own, *_KEYS[2:-1]) if name in properties), None)
    if found is None:
        found = next((properties[name] for name in ("name", "slug", "code", "number", "email") if name in properties), None)
        made.doubts.append(
            ("key", f"{found} is a guess: the schema has no id" if found else "the schema has no id: equal content is one record")
        )
    made.words["key"] = [found] if found else "hash"


def _cursor(api: Api, names: dict[str, Any], made: Guess) -> None:
    since = next((names[name] for name in _SINCE if name in names), None)
    if since is None:
        return
    properties = {name.lower(): (name, schema) for name, schema in api.properties(made.item).items()}
    by_birth = str(since["name"]).lower().startswith("created")
    order = (*_CREATED, *_UPDATED) if by_birth else (*_UPDATED, *_CREATED)
    found = next((properties[name] for name in order if name in properties), None)
    if found is None:
        made.doubts.append(("name", f"the parameter {since['name']} may ask for changes, but the schema has no time of a change"))
        return
    schema = api.schema(since.get("schema"))
    form = "epoch" if kind_of(schema) == "integer" else "date" if schema.get("format") == "date" else "iso_seconds"
    made.words["cursor"] = {"field": found[0], "since": str(since["name"]), "format": form}
    sure = str(since["name"]).lower() in _SINCE[:16] and found[0].lower() in _UPDATED
    if not sure:
        made.doubts.append(("cursor", f"whether {since['name']} asks by {found[0]} is a guess; if it does not, leave the cursor out"))


def _paging(api: Api, operation: Operation, schema: dict[str, Any], headers: Found, names: dict[str, Any], made: Guess) -> None:
    size = next((names[name] for name in _SIZES if name in names), None)
    paging = _kind(api, operation, schema, headers, names, made)
    if paging is None:
        return
    if size is not None and paging["type"] != "none":
        limits = api.schema(size.get("schema"))
        most = limits.get("maximum")
        paging["size"] = max(1, min(int(most), _LARGEST)) if isinstance(most, int | float) else 100
        paging["size_param"] = str(size["name"])
        if not isinstance(most, int | float):
            made.doubts.append(("paging", "how large a page may be is not said"))
    made.words["paging"] = paging


def _kind(api: Api, operation: Operation, schema: dict[str, Any], headers: Found, names: dict[str, Any], made: Guess) -> Found | None:
    token = next((names[name] for name in _TOKENS if name in names), None)
    if any(str(name).lower() == "link" for name in headers):
        return {"type": "link_header"}
    places = list(_named(api, schema))
    if token is not None and (found := _token_place(places, str(token["name"]))):
        return {"type": "next_token", "next": found, "param": str(token["name"])}
    if url := _url_place(places):
        return {"type": "next_url", "next": url}
    if token is not None:
        return _tokenless(token, places, operation, made)
    counted = [(kind, names[name]) for kind, known in (("offset", _OFFSETS), ("page", _PAGES)) for name in known if name in names]
    for kind, param in counted:
        paging: Found = {"type": kind, "param": str(param["name"])}
        if kind == "page" and 0 in (api.schema(param.get("schema")).get("default"), api.schema(param.get("schema")).get("minimum")):
            paging["first"] = 0
        total = next((place for place, name, inner in places if name.lower() in _TOTALS and kind_of(inner) in ("integer", "number")), None)
        return paging | ({"total": total} if total and kind == "offset" else {})
    return None


def _tokenless(token: Found, places: list[tuple[str, str, dict[str, Any]]], operation: Operation, made: Guess) -> Found:
    """Paging by a token that the schema of the answer does not have."""
    prose = f"{operation.said.get('description')} {token.get('description')}".lower()
    more = next((place for place, name, _ in places if name.lower() in ("has_more", "hasmore", "has_next", "more")), None)
    key = made.words.get("key")
    if "after" in str(token["name"]).lower() and (more or "link" not in prose) and isinstance(key, list):
        if more is None:
            made.doubts.append(("paging", "where the token comes from is not said: here it is the last record's key"))
        return {"type": "keyset", "field": step(key[0]), "param": str(token["name"]), **({"next": more} if more else {})}
    made.doubts.append(("paging", "where the token comes from is not said: here it is the Link header's address"))
    return {"type": "link_header"}


def _named(api: Api, schema: dict[str, Any], at: str = "", depth: int = 0) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The fields of an answer that is an object, without those of its records: place, name, schema."""
    for name, inner in api.properties(schema).items():
        place = f"{at}.{step(name)}" if at else step(name)
        if kind_of(inner) == "object" and depth < 3:
            yield from _named(api, inner, place, depth + 1)
        elif kind_of(inner) != "array":
            yield place, name, inner


def _token_place(places: list[tuple[str, str, dict[str, Any]]], param: str) -> str | None:
    """Where the answer has the token of a parameter: next_cursor, meta.cursors.after, pages.next.starting_after."""
    bare = param.lower().replace("_", "")
    for place, name, _ in places:
        plain = name.lower().replace("_", "")
        ahead = "next" in place.lower() or "after" in plain or "cursors" in place.lower()
        if (
            ahead
            and (plain in (bare, f"next{bare}", "nextcursor", "nextpagetoken", "nexttoken", "endcursor", "after"))
            and "url" not in plain
        ):
            return place
    same = [place for place, name, _ in places if name.lower().replace("_", "") == bare]
    return same[0] if same else next((place for place, name, _ in places if name.lower() in ("next_page", "nextpage")), None)


def _url_place(places: list[tuple[str, str, dict[str, Any]]]) -> str | None:
    """Where the answer has the address of the next page."""
    for place, name, schema in places:
        plain = name.lower().replace("_", "")
        example = str(schema.get("example") or schema.get("default") or "")
        addressed = schema.get("format") in ("uri", "url", "uri-reference") or example.startswith(("http", "/")) or "links" in place.lower()
        if plain in ("nextpageuri", "nextpageurl", "nexturl", "nexturi", "nextlink", "@odata.nextlink", "odatanextlink") or (
            plain == "next" and addressed
        ):
            return place
    return None
