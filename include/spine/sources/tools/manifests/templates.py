"""Reads the templates of manifests as what they say, by the parser of Jinja; none is ever rendered.

A path into something (`config.a`, `response['b'].get('c')`) is a Path. What computes is Untold, but for the few things that JMESPath can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from jinja2 import Environment, TemplateSyntaxError, nodes

from spine.sources.tools.drafts import Untold

_PARSER = Environment(autoescape=True)  # parses, and renders nothing
_LONGEST = 20_000
_PLAIN = re.compile(r"[A-Za-z_]\w*")
_SAME = frozenset(
    {"string", "str", "int", "float", "trim", "list", "safe", "lower", "tojson", "urlencode"}
)  # of no matter to what is named
_COMPARE = {"eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<="}
Step: TypeAlias = str | int
Part: TypeAlias = "str | nodes.Expr"


@dataclass(frozen=True)
class Path:
    """A way into something: what it begins at, its steps, and what stands in for nothing."""

    root: str
    steps: tuple[Step, ...] = ()
    default: Any = None

    @property
    def name(self) -> str:
        """The last step, the root where there is none."""
        return str(self.steps[-1]) if self.steps else self.root


@dataclass(frozen=True)
class Clock:
    """A time by the clock: `now` or `today`, so many days before, in a format."""

    day: bool
    before: str = ""
    form: str = ""


def parts_of(text: str, parameters: Mapping[str, Any]) -> list[Part]:
    """The texts and expressions of a template; one that the parameters decide is its value as a text. Raises Untold."""
    if "{" not in text:
        return [text]
    if len(text) > _LONGEST:
        raise Untold("a template that is too long")
    try:
        body = _PARSER.parse(text).body
    except (TemplateSyntaxError, RecursionError):
        raise Untold("a template that is none", f"{text[:80]!r} is no template") from None
    found: list[Part] = []
    for node in body:
        if not isinstance(node, nodes.Output):
            raise Untold("template: a block", f"a block of a template: {text[:80]!r}")
        for inner in node.nodes:
            found.append(inner.data if isinstance(inner, nodes.TemplateData) else _decided(inner, parameters))
    return _joined(found)


def expression_of(text: Any, parameters: Mapping[str, Any]) -> nodes.Expr | None:
    """The one expression of a template, also where its braces are left away; None for a text without any. Raises Untold."""
    if not isinstance(text, str):
        return nodes.Const(text)
    found = [part for part in parts_of(text.strip(), parameters) if not (isinstance(part, str) and not part.strip())]
    if len(found) == 1 and not isinstance(found[0], str):
        return found[0]
    if all(isinstance(part, str) for part in found):
        return None
    raise Untold("template: text around an expression", f"{text[:80]!r} is no single expression")


def _joined(parts: list[Part]) -> list[Part]:
    made: list[Part] = []
    for part in parts:
        if isinstance(part, nodes.Const):
            part = "" if part.value is None else str(part.value)
        if isinstance(part, str) and made and isinstance(made[-1], str):
            made[-1] += part
        elif part != "":
            made.append(part)
    return made


def _decided(node: nodes.Expr, parameters: Mapping[str, Any]) -> nodes.Expr:
    """The expression with what the parameters decide in place of it."""
    path = path_of(node)
    if path is not None and path.root in ("parameters", "options"):
        value: Any = parameters
        for step in path.steps:
            value = value.get(step) if isinstance(value, Mapping) else value[step] if _indexes(value, step) else None
        return nodes.Const(path.default if value is None else value)
    if isinstance(node, nodes.CondExpr):
        test = constant(_decided(node.test, parameters))
        if test is not _UNKNOWN:
            return _decided(node.expr1 if test else node.expr2 or nodes.Const(None), parameters)
    _decide_inside(node, parameters)
    value = constant(node)
    return node if value is _UNKNOWN else nodes.Const(value)


def _decide_inside(node: nodes.Node, parameters: Mapping[str, Any]) -> None:
    for name in node.fields:
        inner = getattr(node, name)
        if isinstance(inner, nodes.Expr):
            setattr(node, name, _decided(inner, parameters))
        elif isinstance(inner, list):
            setattr(node, name, [_decided(one, parameters) if isinstance(one, nodes.Expr) else one for one in inner])
            for one in inner:
                if isinstance(one, nodes.Operand | nodes.Keyword | nodes.Pair):
                    _decide_inside(one, parameters)


def _indexes(value: Any, step: Step) -> bool:
    return isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value)


_UNKNOWN = object()


def constant(node: Any) -> Any:
    """The value of what needs nothing from outside, _UNKNOWN of all else."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.List | nodes.Tuple):
        items = [constant(item) for item in node.items]
        return _UNKNOWN if any(item is _UNKNOWN for item in items) else items
    if isinstance(node, nodes.Dict):
        pairs = [(constant(pair.key), constant(pair.value)) for pair in node.items]
        return _UNKNOWN if any(_UNKNOWN in pair for pair in pairs) else dict(pairs)
    if isinstance(node, nodes.Not):
        inner = constant(node.node)
        return _UNKNOWN if inner is _UNKNOWN else not inner
    if isinstance(node, nodes.Neg):
        inner = constant(node.node)
        return -inner if isinstance(inner, int | float) else _UNKNOWN
    return _concluded(node)


def _concluded(node: Any) -> Any:
    """What follows from constants."""
    if isinstance(node, nodes.And | nodes.Or):
        return _both(node)
    if isinstance(node, nodes.Add):
        left, right = constant(node.left), constant(node.right)
        return left + right if isinstance(left, str) and isinstance(right, str) else _UNKNOWN
    if isinstance(node, nodes.Compare) and len(node.ops) == 1:
        return _equal(constant(node.expr), node.ops[0].op, constant(node.ops[0].expr))
    if isinstance(node, nodes.Test) and node.node is not None and node.name in ("defined", "none"):
        inner = constant(node.node)
        return _UNKNOWN if inner is _UNKNOWN else (inner is None) == (node.name == "none")
    return _list_text(node)


def _both(node: nodes.And | nodes.Or) -> Any:
    """Of two conditions one may decide alone; a value behind `or` is a default, which decides nothing of what stands before it."""
    deciding, left, right = isinstance(node, nodes.Or), constant(node.left), constant(node.right)
    if left is not _UNKNOWN and bool(left) is deciding:
        return left
    if right is deciding:
        return right
    return _UNKNOWN if _UNKNOWN in (left, right) else right


def _equal(left: Any, operator: str, right: Any) -> Any:
    if left is _UNKNOWN or right is _UNKNOWN:
        return _UNKNOWN
    if operator in ("eq", "ne"):
        return (left == right) == (operator == "eq")
    return (left in right) == (operator == "in") if operator in ("in", "notin") and isinstance(right, list | str) else _UNKNOWN


def _list_text(node: Any) -> Any:
    """`','.join([…])` and `[…] | join(',')` of constants."""
    items, mark = _UNKNOWN, ","
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "join" and len(node.args) == 1:
        mark, items = constant(node.node.node), constant(node.args[0])
    if isinstance(node, nodes.Filter) and node.name == "join" and node.node is not None:
        mark, items = constant(node.args[0]) if node.args else "", constant(node.node)
    if isinstance(items, list) and isinstance(mark, str):
        return mark.join(map(str, items))
    return _UNKNOWN


def known(value: Any) -> bool:
    """Whether `constant` has found one."""
    return value is not _UNKNOWN


def path_of(node: Any) -> Path | None:
    """The path that an expression is, None if it is something else."""
    if isinstance(node, nodes.Name):
        return Path(node.name)
    if isinstance(node, nodes.Getattr):
        inner = path_of(node.node)
        return replace(inner, steps=(*inner.steps, node.attr)) if inner else None
    if isinstance(node, nodes.Getitem):
        inner, step = path_of(node.node), constant(node.arg)
        return replace(inner, steps=(*inner.steps, step)) if inner and isinstance(step, str | int) else None
    if isinstance(node, nodes.Filter) and node.node is not None:
        return _filtered(node)
    if isinstance(node, nodes.Call):
        return _called(node)
    if isinstance(node, nodes.Or):
        inner, value = path_of(node.left), constant(node.right)
        return replace(inner, default=value if value not in ("", []) else inner.default) if inner and known(value) else None
    if isinstance(node, nodes.CondExpr):
        return _chosen(node)
    return None


def _filtered(node: nodes.Filter) -> Path | None:
    inner = path_of(node.node)
    if inner is None:
        return None
    if node.name in _SAME:
        return inner
    if node.name in ("default", "d") and node.args and known(value := constant(node.args[0])):
        return replace(inner, default=value)
    if node.name in ("first", "last"):
        return replace(inner, steps=(*inner.steps, 0 if node.name == "first" else -1))
    return inner if node.name == "join" and constant(node.args[0] if node.args else nodes.Const("")) == "," else None


def _called(node: nodes.Call) -> Path | None:
    """`x.get('a', default)`, and `','.join(x)`."""
    method = node.node
    if not isinstance(method, nodes.Getattr):
        return None
    if method.attr == "join" and constant(method.node) == "," and len(node.args) == 1:
        return path_of(node.args[0])
    if method.attr in ("strip", "lower") and not node.args:
        return path_of(method.node)
    if method.attr != "get" or not node.args:
        return None
    inner, step = path_of(method.node), constant(node.args[0])
    default = constant(node.args[1]) if len(node.args) > 1 else None
    if inner is None or not isinstance(step, str | int) or not known(default):
        return None
    return replace(inner, steps=(*inner.steps, step), default=None if default in ({}, []) else default)


def _chosen(node: nodes.CondExpr) -> Path | None:
    """`x if x else 'd'`, also asked as `'x' in config`, `x is defined` and `x is not none`."""
    inner = path_of(node.expr1)
    value = constant(node.expr2) if node.expr2 is not None else None
    if inner is None or not known(value) or not _asks_for(node.test, inner):
        return None
    return replace(inner, default=value if value not in ("", []) else inner.default)


def cut_at_t(node: Any) -> Path | None:
    """The time that `x.split('T')[0]` makes a date of."""
    if isinstance(node, nodes.Getitem) and constant(node.arg) == 0 and isinstance(node.node, nodes.Call):
        method = node.node.node
        if getattr(method, "attr", "") == "split" and [constant(arg) for arg in node.node.args] == ["T"]:
            return path_of(getattr(method, "node", None))
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice) and constant(node.arg.stop) == 10:
        return path_of(node.node)
    return None


def _asks_for(test: Any, path: Path) -> bool:
    asked = path_of(test.node if isinstance(test, nodes.Test) and test.name in ("defined",) else test)
    if isinstance(test, nodes.Compare) and len(test.ops) == 1 and test.ops[0].op in ("in", "ne"):
        if test.ops[0].op == "in":
            holder, name = path_of(test.ops[0].expr), constant(test.expr)
            asked = replace(holder, steps=(*holder.steps, name)) if holder and isinstance(name, str) else None
        elif constant(test.ops[0].expr) in (None, ""):
            asked = path_of(test.expr)
    if isinstance(test, nodes.And):
        return _asks_for(test.left, path) and _asks_for(test.right, path)
    return asked is not None and (asked.root, asked.steps) == (path.root, path.steps)


def clock_of(node: Any) -> Clock | None:
    """The time by the clock that an expression is: `now_utc()`, `today_utc()`, `day_delta(-7)`, `… - duration('P7D')`, any formatted."""
    if isinstance(node, nodes.Call):
        return _clock_call(node)
    if (
        isinstance(node, nodes.Sub)
        and isinstance(node.right, nodes.Call)
        and getattr(node.right.node, "name", "") in ("duration", "timedelta")
    ):
        inner = clock_of(node.left)
        named = {pair.key: constant(pair.value) for pair in node.right.kwargs or ()}
        said = constant(node.right.args[0]) if node.right.args else f"P{named.get('days', 0)}D"
        return replace(inner, before=days_of(str(said))) if inner and not inner.before else None
    return None


def _clock_call(node: nodes.Call) -> Clock | None:
    name, args = node.node, [constant(arg) for arg in node.args]
    if isinstance(name, nodes.Name):
        if name.name in ("now_utc", "today_utc"):
            return Clock(name.name == "today_utc")
        if name.name == "day_delta" and args and isinstance(args[0], int):
            form = next((constant(pair.value) for pair in node.kwargs or () if pair.key == "format"), args[1] if len(args) > 1 else "")
            return Clock(False, f"{-args[0]}d" if args[0] < 0 else "", str(form)) if args[0] <= 0 else None
        if name.name == "format_datetime" and len(args) > 1 and isinstance(args[1], str):
            inner = clock_of(node.args[0])
            return replace(inner, form=args[1]) if inner else None
    if isinstance(name, nodes.Getattr) and name.attr in ("strftime", "isoformat", "date"):
        inner = clock_of(name.node)
        return replace(inner, form=str(args[0]) if args else inner.form) if inner else None
    return None


def days_of(text: str) -> str:
    """A duration of ISO 8601 as our language writes it: `P1M` is 30 days. Raises Untold."""
    found = re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?", text)
    if not found or not any(found.groups()):
        raise Untold("template: a duration", f"{text!r} is no duration that we can write")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    whole = ((years * 365 + months * 30 + weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds
    unit, size = next((unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if whole % size == 0)
    return f"{whole // size}{unit}"


def jmespath(node: Any, roots: Mapping[str, str]) -> str:
    """An expression over answers or records as a JMESPath; `roots` says what its names stand for there. Raises Untold."""
    value = constant(node)
    if known(value):
        return f"`{json.dumps(value)}`" if not isinstance(value, str) else _raw(value)
    path = path_of(node)
    if path is not None:
        return _stepped(path, roots)
    if isinstance(node, nodes.Not):
        return f"!({jmespath(node.node, roots)})" if not path_of(node.node) else f"!{jmespath(node.node, roots)}"
    if isinstance(node, nodes.And | nodes.Or):
        mark = "&&" if isinstance(node, nodes.And) else "||"
        return f"({jmespath(node.left, roots)} {mark} {jmespath(node.right, roots)})"
    if isinstance(node, nodes.Compare) and len(node.ops) == 1:
        return _compared(node, roots)
    if isinstance(node, nodes.Test) and node.node is not None:
        return _tested(node, roots)
    if isinstance(node, nodes.CondExpr):
        test, one = jmespath(node.test, roots), jmespath(node.expr1, roots)
        other = jmespath(node.expr2, roots) if node.expr2 is not None else "`null`"
        return f"(({test}) && {one} || {other})"
    if isinstance(node, nodes.Filter) and node.node is not None and node.name in ("length", "count"):
        return f"length({jmespath(node.node, roots)} || `[]`)"
    if isinstance(node, nodes.Concat):
        return f"join('', [{', '.join(f'to_string({jmespath(one, roots)})' for one in node.nodes)}])"
    raise Untold(f"template: {_kind(node)}", f"a template computes ({_kind(node)})")


def _kind(node: Any) -> str:
    """What an expression does, for counting."""
    if isinstance(node, nodes.BinExpr):
        return "arithmetic"
    if isinstance(node, nodes.Call):
        return f"{getattr(node.node, 'attr', '') or getattr(node.node, 'name', 'a call')}()"
    return f"filter {node.name}" if isinstance(node, nodes.Filter) else type(node).__name__.lower()


def _raw(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _stepped(path: Path, roots: Mapping[str, str]) -> str:
    if path.root not in roots:
        what = "a condition asks for a setting" if path.root == "config" else f"{path.root} is not known there"
        raise Untold(f"template: {path.root} where it is not known", what)
    found = roots[path.root]
    for step in path.steps:
        if isinstance(step, int):
            found = f"{found or '@'}[{step}]"
        else:
            name = step if _PLAIN.fullmatch(step) else json.dumps(step)
            found = f"{found}.{name}" if found else name
    found = found or "@"
    return f"({found} || {jmespath(nodes.Const(path.default), roots)})" if path.default not in (None, "") else found


def _compared(node: nodes.Compare, roots: Mapping[str, str]) -> str:
    operator, other = node.ops[0].op, node.ops[0].expr
    if operator in ("in", "notin"):
        mark = "!" if operator == "notin" else ""
        name, holder = constant(node.expr), path_of(other)
        if isinstance(name, str) and holder is not None:  # whether a map has the name, or a list or text the value
            inside = jmespath(other, roots)
            key = _stepped(replace(holder, steps=(*holder.steps, name), default=None), roots)
            return f"{mark}({key})" if _names_map(holder) else f"{mark}contains({inside} || `[]`, {_raw(name)})"
        return f"{mark}contains({jmespath(other, roots)}, {jmespath(node.expr, roots)})"
    left, right = jmespath(node.expr, roots), jmespath(other, roots)
    if constant(other) == "" and operator in _COMPARE:
        return f"!{left}" if operator == "eq" else left
    return f"{left} {_COMPARE[operator]} {right}"


def _names_map(holder: Path) -> bool:
    """Whether what is looked in is taken for a map: of answers and their parts that is the rule."""
    return holder.root in ("response", "headers") or not holder.steps


def _tested(node: nodes.Test, roots: Mapping[str, str]) -> str:
    inner = jmespath(node.node, roots)
    if node.name == "none":
        return f"{inner} == `null`"
    if node.name == "defined":
        return f"{inner} != `null`"
    raise Untold(f"template: is {node.name}")
