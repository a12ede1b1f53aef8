"""Writes what a JMESPath would find: the way back from a value at a path to a document that has it there."""

from __future__ import annotations

from typing import Any

import jmespath

from spine.sandbox.vendor.calls import NotCovered

_NOTHING: Any = None


def put(path: str, document: Any, value: Any) -> Any:
    """The document with a value where the path finds it. Raises NotCovered if there is no such document."""
    try:
        written = _put(jmespath.compile(path).parsed, document, value)
        found = jmespath.search(path, written)
    except (TypeError, ValueError, LookupError, jmespath.exceptions.JMESPathError):
        raise NotCovered(f"nothing can be written at {path!r}") from None
    if found != value and not (not value and not found):
        raise NotCovered(f"nothing can be written at {path!r}")
    return written


def _put(node: Any, document: Any, value: Any) -> Any:
    write = _WAYS.get(node["type"])
    if write is None:
        raise NotCovered(f"nothing can be written by {node['type']!r} of JMESPath")
    return write(node, document, value)


def _get(node: Any, document: Any) -> Any:
    from jmespath.visitor import TreeInterpreter

    try:
        return TreeInterpreter().visit(node, document)
    except jmespath.exceptions.JMESPathError:
        return None


def _current(node: Any, document: Any, value: Any) -> Any:
    if isinstance(document, dict) and document:
        if isinstance(value, dict):
            return {**document, **value}
        raise NotCovered("the whole answer is a list, so that nothing stands beside it")
    return value


def _field(node: Any, document: Any, value: Any) -> Any:
    if document not in (None, {}) and not isinstance(document, dict):
        raise NotCovered(f"{node['value']!r} has no place beside a list")
    return {**(document or {}), node["value"]: value}


def _chain(node: Any, document: Any, value: Any) -> Any:
    *outer, last = node["children"]
    if not outer:
        return _put(last, document, value)
    holder = {"type": node["type"], "children": outer} if len(outer) > 1 else outer[0]
    return _put(holder, document, _put(last, _get(holder, document), value))


def _at(node: Any, document: Any, value: Any) -> Any:
    place = node["value"]
    items = list(document) if isinstance(document, list) else []
    while len(items) < (place + 1 if place >= 0 else -place):
        items.append(_NOTHING)
    items[place] = value
    return items


def _behind(node: Any, document: Any, value: Any) -> Any:
    start, stop, step = node["children"]
    if stop is not None or step not in (None, 1) or (start or 0) < 0 or not isinstance(value, list):
        raise NotCovered("a slice that is no rest")
    before = (list(document) if isinstance(document, list) else [])[: start or 0]
    return [*before, *([_NOTHING] * ((start or 0) - len(before))), *value]


def _each(node: Any, document: Any, value: Any) -> Any:
    left, right = node["children"]
    if not isinstance(value, list):
        raise NotCovered("many are found where one is wanted")
    there = _get(left, document)
    there = there if isinstance(there, list) and len(there) == len(value) else [None] * len(value)
    return _put(left, document, [_put(right, old, one) for old, one in zip(there, value, strict=True)])


def _those(node: Any, document: Any, value: Any) -> Any:
    left, right, condition = node["children"]
    if not isinstance(value, list):
        raise NotCovered("many are found where one is wanted")
    return _put(left, document, [_put(condition, _put(right, None, one), True) for one in value])


def _every(node: Any, document: Any, value: Any) -> Any:
    left, right = node["children"]
    if not isinstance(value, list):
        raise NotCovered("many are found where one is wanted")
    return _put(left, document, {f"k{number}": _put(right, None, one) for number, one in enumerate(value)})


def _first(node: Any, document: Any, value: Any) -> Any:
    return _put(node["children"][0], document, value)


def _listed(node: Any, document: Any, value: Any) -> Any:
    first, *others = node["children"]
    if not isinstance(value, list):
        raise NotCovered("several lists are found where one value is wanted")
    return _put(first, _emptied(others, document), value)


def _emptied(nodes: list[Any], document: Any) -> Any:
    for node in nodes:
        document = _put(node, document, [])
    return document


def _both(node: Any, document: Any, value: Any) -> Any:
    left, right = node["children"]
    return _put(right, _put(left, document, bool(value)), value)


def _compared(node: Any, document: Any, value: Any) -> Any:
    left, right = node["children"]
    if right["type"] != "literal" or node["value"] not in ("eq", "ne", "gt", "gte"):
        raise NotCovered("a comparison with what is no constant")
    wanted = bool(value) is (node["value"] != "ne")
    told: Any = right["value"]
    if node["value"] in ("gt", "gte"):
        return _put(left, document, told + 1 if wanted else told - 1)
    other = (not told) if isinstance(told, bool) else "something else" if isinstance(told, str) else 987_654
    return _put(left, document, told if wanted else other)


def _negated(node: Any, document: Any, value: Any) -> Any:
    return _put(node["children"][0], document, not value)


def _function(node: Any, document: Any, value: Any) -> Any:
    name, inner = node["value"], node["children"]
    if name in ("to_string", "to_number", "not_null", "to_array"):
        told = str(value) if name == "to_number" and value is not None else value
        return _put(inner[0], document, told)
    if name == "merge" and isinstance(value, dict):
        for one in inner:
            document = _put(one, document, value)
        return document
    if name == "values" and isinstance(value, list):
        return _put(inner[0], document, {f"k{number}": one for number, one in enumerate(value)})
    if name == "join" and isinstance(value, str) and inner[1]["type"] == "multi_select_list":
        return _joined(inner[0]["value"], inner[1]["children"], document, value)
    if name == "join" and isinstance(value, str):
        return _put(inner[1], document, [value])
    raise NotCovered(f"nothing can be written by {name!r} of JMESPath")


def _chosen(node: Any, document: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise NotCovered("a choice of fields is no object")
    for pair in node["children"]:
        document = _put(pair["children"][0], document, value.get(pair["value"]))
    return document


def names_at(path: str) -> list[str] | None:
    """The names of the only fields that a JMESPath of records lets pass, None where it lets all of them."""
    node = jmespath.compile(path).parsed
    while node["children"] and node["type"] != "function_expression":
        if node["type"] == "multi_select_dict":
            return [pair["value"] for pair in node["children"]]
        node = node["children"][-1]
    return None


def _joined(glue: str, parts: list[Any], document: Any, value: str) -> Any:
    free = [part for part in parts if part["type"] != "literal"]
    fixed = sum(len(part["value"]) for part in parts if part["type"] == "literal")
    for number, part in enumerate(free):
        text = value if number else value[: max(1, len(value) - fixed)]
        if _get(part, document) is None:
            document = _put(part, document, text)
    return document


_WAYS = {
    "current": _current, "identity": _current, "field": _field, "subexpression": _chain, "index_expression": _chain, "pipe": _chain,
    "index": _at, "projection": _each, "value_projection": _every, "flatten": _first, "or_expression": _first, "comparator": _compared,
    "slice": _behind, "and_expression": _both, "multi_select_dict": _chosen, "not_expression": _negated, "function_expression": _function,
    "multi_select_list": _listed, "filter_projection": _those,
}  # fmt: skip


def reached(document: Any, path: str, value: Any) -> dict[str, Any]:
    """The document with a value at a dotted path; a list on the way has it in its first element."""
    head, _, rest = path.partition(".")
    held = document if isinstance(document, dict) else {}
    inner = held.get(head)
    if not rest:
        return {**held, head: value}
    if isinstance(inner, list):
        return {**held, head: [reached(inner[0] if inner else {}, rest, value), *inner[1:]]}
    return {**held, head: reached(inner, rest, value)}
