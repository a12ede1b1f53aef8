"""Incremental syncs as cursors."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes

from spine.sources.tools.drafts import Untold, placeholder
from spine.sources.tools.manifests.asking import Asked
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling, span_of
from spine.sources.tools.manifests.templates import Clock, clock_of, constant, expression_of, known, path_of
from spine.sources.tools.manifests.times import read_format, time_format

Cursor = dict[str, Any]


def prepare(found: Component | None, filling: Filling) -> None:
    """Let the stream's templates know the names of its bounds, before its request is read."""
    if found is None or found.type == "IncrementingCountCursor":
        return
    filling.bounded = True
    filling.starts = found.text("partition_field_start") or found.text("stream_state_field_start") or "start_time"
    filling.ends = found.text("partition_field_end") or found.text("stream_state_field_end") or "end_time"
    filling.form = time_format(found.text("datetime_format"))


class Incremental:
    """One incremental sync. `lacks` is what of it has no words and is not needed."""

    def __init__(self, found: Component, asked: Asked, filling: Filling) -> None:
        self._found, self._asked, self._filling = found, asked, filling
        self.doubts: list[str] = []

    def cursor(self) -> Cursor:
        """The words of the cursor. Raises Untold."""
        found = self._found
        if found.type == "IncrementingCountCursor":
            return self._number()
        field = self._filling.text(found.text("cursor_field"), found.parameters)
        if not field:
            raise Untold("a cursor without a field", "", found.line)
        made: Cursor = {"field": field}
        self._bounds(made)
        form = self._form()
        if form != "iso":
            made["format"] = form
        forms = [str(one) for one in found.value("cursor_datetime_formats") or ()] or [found.text("datetime_format")]
        if reads := read_format(forms):
            made["reads"] = reads
        if lookback := found.text("lookback_window"):
            made["lookback"] = self._lookback(lookback)
        start = self._start()
        if start:
            made["start"] = start
        self._windows(made)
        return made

    def _number(self) -> Cursor:
        made: Cursor = {"field": self._filling.text(self._found.text("cursor_field"), self._found.parameters), "type": "number"}
        option = self._found.get("start_value_option")
        since = self._placed(option, "{start}") if option else None
        return made | {"since": since}

    def _bounds(self, made: Cursor) -> None:
        start, end = self._found.get("start_time_option"), self._found.get("end_time_option")
        since = self._placed(start, "{start}") if start else None
        until = self._placed(end, "{end}") if end else None
        if since is not None or not self._asks_itself():
            made["since"] = since
        if until is not None:
            made["until"] = until

    def _asks_itself(self) -> bool:
        return "{start}" in str(self._asked.words)

    def _placed(self, option: Component, value: str) -> str | None:
        """The parameter of a bound, None where it went into a header or the body."""
        path = option.value("field_path")
        name = ".".join(map(str, path)) if isinstance(path, list) and path else option.text("field_name")
        name = self._filling.text(name, option.parameters)
        into = option.text("inject_into")
        if into in ("request_parameter", ""):
            return name
        if into == "header":
            self._asked.words.setdefault("headers", {})[name] = value
            return None
        if into not in ("body_json", "body_data"):
            raise Untold(f"a bound in {into}", f"a bound stands in {into}", option.line)
        kind = "json" if into == "body_json" else "form"
        body = self._asked.words.setdefault("body", {kind: {}})
        holder = body.get(kind)
        if holder is None and "graphql" in body:
            holder, name = body.setdefault("variables", {}), name.removeprefix("variables.")
        if not isinstance(holder, dict):
            raise Untold("a bound inside a body of another kind", "", option.line)
        *outer, last = name.split(".") if isinstance(path, list) else [name]
        for step in outer:
            holder = holder.setdefault(step, {})
        holder[last] = value
        return None

    def _form(self) -> str:
        """The one format in which bounds are written. Raises Untold for several."""
        forms = set(self._filling.forms)
        if self._found.get("start_time_option") or self._found.get("end_time_option"):
            forms.add(self._filling.form)
        if len(forms) > 1:
            raise Untold(
                "bounds in several formats", f"bounds are written in several formats: {', '.join(sorted(forms))}", self._found.line
            )
        return next(iter(forms), "iso")

    def _lookback(self, said: str) -> str:
        found = span_of(said, self._filling, self._found.parameters)
        if not found.startswith("{"):
            return found
        variable = self._filling.settings.variables.pop(found[1:-1], {})
        self.doubts.append("the manifest has a setting for it; here it is fixed")
        return str(variable.get("default") or "0s")

    def _start(self) -> str | None:
        said = self._found.value("start_datetime")
        inner = self._found.get("start_datetime")
        text = inner.text("datetime") if inner else str(said or "")
        if not text:
            return None
        parameters = inner.parameters if inner else self._found.parameters
        node = expression_of(text, parameters)
        if node is None:
            return self._date(text, inner)
        clock = clock_of(node)
        if clock is not None:
            return clock.before or "1d"
        return self._setting(_unwritten(node), inner)

    def _setting(self, node: Any, inner: Component | None) -> str:
        default = None
        if isinstance(node, nodes.Or | nodes.CondExpr):
            default, node = self._default(node)
        path = path_of(_unwritten(node))
        if path is None or path.root != "config":
            raise Untold("template: where the cursor begins", "where it begins is computed", inner.line if inner else self._found.line)
        default = default if default is not None else path.default
        return placeholder(self._filling.settings.variable(path.steps, default, type="time"))

    @staticmethod
    def _default(node: Any) -> tuple[Any, Any]:
        """The time that stands in for a setting that is not given."""
        left, right = (node.left, node.right) if isinstance(node, nodes.Or) else (node.expr1, node.expr2)
        clock = clock_of(right) if right is not None else None
        if isinstance(clock, Clock):
            return f"{'today' if clock.day else 'now'}{f'-{clock.before}' if clock.before else ''}", left
        value = constant(right) if right is not None else None
        return (value, left) if known(value) else (None, node)

    def _date(self, text: str, inner: Component | None) -> str | None:
        from datetime import UTC, datetime

        from spine.core import times

        form = time_format(
            inner.text("datetime_format") if inner and inner.text("datetime_format") else self._found.text("datetime_format")
        )
        for one in (form, "iso"):
            try:
                moment = times.read(text, one)
            except (ValueError, TypeError, OverflowError):
                continue
            whole = moment.astimezone(UTC)
            if whole <= datetime(1971, 1, 1, tzinfo=UTC) and not self._found.text("step"):
                return None
            return whole.date().isoformat() if whole.time().isoformat() == "00:00:00" else whole.isoformat().replace("+00:00", "Z")
        raise Untold("where the cursor begins", f"{text[:40]!r} is no time", self._found.line)

    def _windows(self, made: Cursor) -> None:
        said = self._found.text("step")
        if not said or not (made.get("since") or made.get("until") or self._asks_itself()):
            return
        if "start" not in made:
            made["start"] = "2000-01-01"
            self.doubts.append("spans of time need a first moment, and the manifest names none")
        windows = {"step": span_of(said, self._filling, self._found.parameters)}
        if grain := self._found.text("cursor_granularity"):
            try:
                least = span_of(grain, self._filling, self._found.parameters)
            except Untold:  # less than a second
                least = "0s"
            if least not in ("0s", "0d") and least != windows["step"]:
                windows["granularity"] = least
        made["windows"] = windows


def _unwritten(node: Any) -> Any:
    """What a template writes in some notation: `timestamp(x) | int` is x."""
    while True:
        if isinstance(node, nodes.Filter) and node.name in ("int", "string") and node.node is not None:
            node = node.node
        elif (
            isinstance(node, nodes.Call)
            and getattr(node.node, "name", "") in ("format_datetime", "timestamp", "str_to_datetime")
            and node.args
        ):
            node = node.args[0]
        else:
            return node
