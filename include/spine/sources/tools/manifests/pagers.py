"""Paginators as kinds of paging."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import nodes

from spine.sources.tools.drafts import Untold
from spine.sources.tools.manifests.asking import Asked
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling
from spine.sources.tools.manifests.templates import Path, constant, expression_of, jmespath, known, parts_of, path_of

Paging = dict[str, Any]
_INTO = {"header": "header", "body_json": "body", "body_data": "body"}
_ROOTS = {"response": ""}
_LARGEST = 5000


class Pager:
    """One paginator. `doubts` are guesses about it, `lacks` what of it has no words and is not needed."""

    def __init__(self, found: Component, asked: Asked, filling: Filling) -> None:
        self._found, self._asked, self._filling = found, asked, filling
        self.doubts: list[str] = []
        self.lacks: list[tuple[int, str, str]] = []
        self._size: int | None = None

    def paging(self) -> Paging | None:
        """The words of the paging, None where there is one page. Raises Untold."""
        found = self._found
        if found.type == "NoPagination":
            return None
        if found.custom:
            raise Untold("custom code: paginator", f"its pages are turned by code: {found.type}", found.line)
        strategy = found.get("pagination_strategy")
        if strategy is None:
            return None
        if strategy.custom:
            raise Untold("custom code: paging strategy", f"its pages are turned by code: {strategy.type}", strategy.line)
        self._size = self._page_size(strategy)
        kind = strategy.type or ("CursorPagination" if "cursor_value" in strategy else "")
        if kind in ("PageIncrement", "OffsetIncrement"):
            made = self._counted(strategy, "page" if kind == "PageIncrement" else "offset")
        elif kind == "CursorPagination":
            made = self._cursor(strategy)
        else:
            raise Untold(f"paging {kind}", f"we have no paging {kind}", strategy.line)
        return self._sized(made)

    def _page_size(self, strategy: Component) -> int | None:
        said = strategy.value("page_size")
        if said in (None, ""):
            return None
        parts = parts_of(str(said).strip(), strategy.parameters)
        if all(isinstance(part, str) for part in parts):
            text = "".join(map(str, parts)).strip()
            return self._limited(int(text)) if text.isdigit() and int(text) else None
        node = expression_of(said, strategy.parameters)
        value = constant(node)
        path = path_of(node)
        if known(value) and str(value).isdigit():
            return self._limited(int(value))
        default = path.default if path else None
        if path is not None and path.root == "config" and default is None:
            default = self._filling.settings.of(path.steps).schema.get("default")
        self.doubts.append("the size of a page is a setting in the manifest; here it is a number")
        return self._limited(int(str(default)) if str(default).isdigit() else 100)

    def _limited(self, size: int) -> int:
        if size > _LARGEST:
            self.doubts.append(f"pages of {size:,} records became pages of {_LARGEST:,}")
        return max(1, min(size, _LARGEST))

    def _token_place(self) -> dict[str, Any]:
        """Where the token goes. Empty if it is an address."""
        option = self._found.get("page_token_option")
        if option is None or not option.text("inject_into"):
            if option is not None and option.type == "RequestPath":
                return {}
            if self._asked.token is not None:
                place, name = self._asked.token
                written = {"value": self._asked.token_text} if self._asked.token_text else {}
                return {"param": name, **({} if place == "query" else {"into": place}), **written}
            if option is None:
                raise Untold("paging whose token goes nowhere", "the token of its pages goes nowhere", self._found.line)
        if option is None or option.text("inject_into") == "path":
            return {}
        return self._option(option)

    def _option(self, option: Component) -> dict[str, Any]:
        path = option.value("field_path")
        name = ".".join(map(str, path)) if isinstance(path, list) and path else option.text("field_name")
        into = _INTO.get(option.text("inject_into"))
        return {"param": self._filling.text(name, option.parameters), **({"into": into} if into else {})}

    def _counted(self, strategy: Component, kind: str) -> Paging:
        place = self._token_place()
        if not place:
            raise Untold("a counted page as an address", "", strategy.line)
        made: Paging = {"type": kind, **place}
        start = strategy.value("start_from_page")
        if kind == "page":
            made["first"] = int(start) if str(start or 0).isdigit() and start else 0
        if self._size is not None:
            made["short"] = True
        return made

    def _cursor(self, strategy: Component) -> Paging:
        said = strategy.text("cursor_value")
        node = expression_of(said, strategy.parameters)
        if node is None:
            raise Untold("a page's token that is a fixed text", f"the token is {said[:60]!r}", strategy.line)
        place = self._token_place()
        made = self._named(node, place, strategy)
        stop = strategy.text("stop_condition")
        if stop and made["type"] != "link_header":
            made |= self._stop(stop, strategy, counted=made["type"] in ("offset", "page"))
        return made

    def _named(self, node: nodes.Expr, place: dict[str, Any], strategy: Component) -> Paging:
        path = path_of(node)
        if path is not None and path.root == "headers":
            return self._header(path, place)
        if path is not None and path.root in ("last_record", "last_records"):
            steps = path.steps[1:] if path.steps[:1] == (-1,) else path.steps
            if not place:
                raise Untold("an address in the last record", "", strategy.line)
            return {"type": "keyset", "field": jmespath_of(Path("response", steps)), **place}
        if (cut := _cut(node)) is not None:
            inner, pattern = cut
            return {"type": "next_token", "next": jmespath(inner, _ROOTS), "cut": pattern, **place} if place else self._untold(strategy)
        counted = _arithmetic(node)
        if counted is not None and place:
            self.doubts.append(f"the manifest computes the next {counted}; here it is counted")
            made: Paging = {"type": counted, **place}
            return made | ({"short": True} if self._size is not None else {})
        found = jmespath(node, _ROOTS)
        return {"type": "next_token", "next": found, **place} if place else {"type": "next_url", "next": found}

    def _header(self, path: Path, place: dict[str, Any]) -> Paging:
        steps = [str(step).lower() for step in path.steps]
        if steps[:2] == ["link", "next"]:
            return {"type": "link_header"}
        name = str(path.steps[0]) if len(path.steps) == 1 else ""
        if not name:
            raise Untold("paging by parts of a header", "", self._found.line)
        return {"type": "next_token", "from_header": name, **place} if place else {"type": "next_url", "from_header": name}

    def _untold(self, strategy: Component) -> Paging:
        raise Untold("an address that is computed", "the address of the next page is computed", strategy.line)

    def _stop(self, said: str, strategy: Component, *, counted: bool) -> Paging:
        node = expression_of(said, strategy.parameters)
        if node is None:
            return {}
        if isinstance(node, nodes.Compare) and (path := path_of(node.expr)) and path.root in ("last_page_size", "last_records"):
            return {"short": True} if self._size is not None else {}
        made: Paging = {}
        for one in _alternatives(node):
            try:
                made["stop"] = f"{made['stop']} || {jmespath(one, _ROOTS)}" if "stop" in made else jmespath(one, _ROOTS)
            except Untold as untold:
                total = _total(one) if counted else None
                if total is None:
                    line = strategy.line_of("stop_condition")
                    self.lacks.append(
                        (line, f"stop condition: {untold.kind}", f"where its pages end is computed: {' '.join(said.split())}")
                    )
                    continue
                made["total"] = jmespath(total, _ROOTS)
        return made

    def _sized(self, made: Paging) -> Paging:
        option = self._found.get("page_size_option")
        if self._size is None:
            return made
        made["size"] = self._size
        if option is None:
            return made
        where = self._option(option)
        into, name = where.get("into"), where["param"]
        if into == made.get("into") or (into is None and made.get("into") != "body"):
            made["size_param"] = name
        elif into is None:
            self._asked.words.setdefault("params", {})[name] = self._size
        elif into == "header":
            self._asked.words.setdefault("headers", {})[name] = str(self._size)
        else:
            self._into_body(name)
        return made

    def _into_body(self, name: str) -> None:
        body = self._asked.words.setdefault("body", {"json": {}})
        kind = next((one for one in ("json", "form", "variables") if one in body), "")
        if not kind or "." in name.removeprefix("variables."):
            raise Untold("the size of a page inside a body", "", self._found.line)
        body[kind][name.removeprefix("variables.")] = self._size


def jmespath_of(path: Path) -> str:
    """A path into a record as a JMESPath."""
    found = ""
    for step in path.steps:
        if isinstance(step, int):
            found += f"[{step}]"
        else:
            plain = step if re.fullmatch(r"[A-Za-z_]\w*", step) else f'"{step}"'
            found = f"{found}.{plain}" if found else plain
    return found


def _arithmetic(node: Any) -> str | None:
    """What a sum counts: pages if one is added, records if two fields are."""
    while isinstance(node, nodes.Filter) and node.node is not None:
        node = node.node
    if isinstance(node, nodes.CondExpr):
        return _arithmetic(node.expr1) or (_arithmetic(node.expr2) if node.expr2 is not None else None)
    if not isinstance(node, nodes.Add):
        return None
    return "page" if 1 in (constant(node.left), constant(node.right)) else "offset"


def _alternatives(node: nodes.Expr) -> list[nodes.Expr]:
    """What ends the pages, each by itself."""
    return [*_alternatives(node.left), *_alternatives(node.right)] if isinstance(node, nodes.Or) else [node]


def _total(node: nodes.Expr) -> nodes.Expr | None:
    """The number of all records in `a + b >= total`."""
    if not isinstance(node, nodes.Compare) or len(node.ops) != 1:
        return None
    left, right, operator = node.expr, node.ops[0].expr, node.ops[0].op
    if operator in ("lteq", "lt"):
        left, right = right, left
    path = path_of(right)
    return right if path is not None and path.root == "response" and isinstance(left, nodes.BinExpr | nodes.Filter) else None


def _cut(node: Any) -> tuple[nodes.Expr, str] | None:
    """`x.split('a=')[1].split('&')[0]` and `regex_search(x, '…')`: what is cut out of, and by which pattern."""
    if isinstance(node, nodes.Call) and getattr(node.node, "name", "") == "regex_search" and len(node.args) == 2:
        pattern = constant(node.args[1])
        return (node.args[0], pattern) if isinstance(pattern, str) else None
    after: str | None = None
    until = ""
    while isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Call) and getattr(node.node.node, "attr", "") == "split":
        mark, place = constant(node.node.args[0]) if node.node.args else None, constant(node.arg)
        if not isinstance(mark, str) or place not in (0, 1, -1):
            return None
        if place == 0:
            until = mark
        else:
            after = mark
        node = getattr(node.node.node, "node", None)
    if after is None or path_of(node) is None:
        return None
    return node, f"{re.escape(after)}([^{re.escape(until)}]*)" if until else f"{re.escape(after)}(.*)"
