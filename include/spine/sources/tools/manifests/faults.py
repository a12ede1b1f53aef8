"""Error handlers as rules for odd answers. What is tried again anyway (429, 5xx) needs none."""

from __future__ import annotations

import re
from typing import Any

from spine.sources.tools.drafts import Untold
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.templates import expression_of, jmespath, parts_of

Rule = dict[str, Any]
_THEN = {"IGNORE": "skip", "SUCCESS": "skip", "RETRY": "retry", "RATE_LIMITED": "retry", "FAIL": "fail", "RESET_PAGINATION": "restart",
         "REFRESH_TOKEN_THEN_RETRY": "retry"}  # fmt: skip
_USUAL = frozenset({"retry-after"})
_AGAIN = frozenset({429, 408, 500, 502, 503, 504})
_UNITS = {"WaitTimeFromHeader": "seconds", "WaitUntilTimeFromHeader": "epoch"}


def rules_of(handler: Component | None) -> tuple[list[Rule], list[tuple[int, str, str]]]:
    """The rules of an error handler, and what of it has no words and is not needed. Raises Untold."""
    if handler is None:
        return [], []
    if handler.custom:
        return [], [
            (handler.line, "custom code: error handler", f"odd answers are judged by code, {handler.type}; here by the usual rules")
        ]
    if handler.type == "CompositeErrorHandler" or "error_handlers" in handler:
        rules: list[Rule] = []
        lacks: list[tuple[int, str, str]] = []
        for inner in handler.all("error_handlers"):
            found, missing = rules_of(inner)
            rules, lacks = rules + [rule for rule in found if rule not in rules], lacks + missing
        return rules, lacks
    return _rules(handler)


def _rules(handler: Component) -> tuple[list[Rule], list[tuple[int, str, str]]]:
    wait, lacks = _wait(handler)
    retries = handler.value("max_retries")
    rules = []
    for found in handler.all("response_filters"):
        rule = _rule(found)
        if rule is None:
            continue
        if rule["then"] == "retry":
            usual = set(rule["when"]) == {"status"} and set(rule["when"]["status"]) <= _AGAIN
            if usual and wait is None:
                continue
            if isinstance(retries, int) and 0 <= retries <= 20:
                rule["retries"] = retries
            rule |= {"wait": wait} if wait else {}
        rules.append(rule)
    if wait is not None and not any("wait" in rule for rule in rules):
        rules.append({"when": {"status": [429]}, "then": "retry", "wait": wait})
    return rules, lacks


def _rule(found: Component) -> Rule | None:
    when: dict[str, Any] = {}
    codes = found.value("http_codes") or []
    statuses = [int(code) for code in (codes if isinstance(codes, list) else [codes]) if str(code).isdigit()]
    if statuses:
        when["status"] = statuses
    if text := found.text("error_message_contains"):
        parts = parts_of(text, found.parameters)
        if any(not isinstance(part, str) for part in parts):
            raise Untold("template: in a text of an error", "", found.line)
        when["text"] = re.escape("".join(map(str, parts))).replace("\\ ", " ")
    if predicate := found.text("predicate"):
        node = expression_of(predicate, found.parameters)
        if node is not None:
            when["match"] = jmespath(node, {"response": "", "headers": "__headers"})
            if "__headers" in when["match"]:
                raise Untold("template: headers in an error's condition", "an error is told by a header", found.line)
    then = _THEN.get(found.text("action") or ("FAIL" if found.text("error_message") else ""))
    if not when or then is None:
        return None
    return {"when": when, "then": then}


def _wait(handler: Component) -> tuple[dict[str, Any] | None, list[tuple[int, str, str]]]:
    for found in handler.all("backoff_strategies"):
        if found.custom:
            return None, [(found.line, "custom code: backoff", f"how long is waited is code: {found.type}; ours waits by its own rule")]
        unit = _UNITS.get(found.type)
        header = found.text("header")
        if unit is None or (header.lower() in _USUAL and unit == "seconds"):
            continue
        if found.text("regex"):
            return None, [
                (
                    found.line,
                    "a time to wait that is cut out of a header",
                    "how long is waited is cut out of a header; ours waits by its own rule",
                )
            ]
        return {"header": header, **({"unit": unit} if unit != "seconds" else {})}, []
    return None, []
