"""Texts of requests with their templates turned into placeholders of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes

from spine.http.paging.pages import SLOT
from spine.sources.tools.drafts import Untold, placeholder, variable_word
from spine.sources.tools.manifests.settings import Settings
from spine.sources.tools.manifests.templates import (
    Clock,
    Path,
    Step,
    clock_of,
    constant,
    cut_at_t,
    days_of,
    known,
    parts_of,
    path_of,
)
from spine.sources.tools.manifests.times import time_format

_SLICES = ("stream_slice", "stream_partition", "stream_interval")
_TOKEN = ("next_page_token", "next_page_token")


class TokenAlone(Exception):
    """A text is the page's token, which the paging puts there: `text` is how it is written, with {page} for it."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text


@dataclass
class Filling:
    """What the templates of one stream may name. `slices` are its partitions' placeholders by the manifest's names for them."""

    settings: Settings
    slices: dict[str, str] = field(default_factory=dict)
    extra_fields: str = ""
    starts: str = "start_time"
    ends: str = "end_time"
    form: str = "iso"
    bounded: bool = False
    grandparent: Callable[[tuple[Step, ...]], str] | None = None
    forms: set[str] = field(default_factory=set)
    secret: bool = False
    choosing: bool = False
    chosen: bool = False
    lacks: list[tuple[int, str, str]] = field(default_factory=list)

    def text(self, said: Any, parameters: Mapping[str, Any], *, secrets: bool = False) -> str:
        """A text with placeholders; `secrets` may stand there. Raises Untold, and TokenAlone where it is the page's token."""
        found = parts_of(str(said), parameters)
        if len(found) == 1 and not isinstance(found[0], str) and _is_token(found[0]):
            raise TokenAlone
        if sum(not isinstance(part, str) and _is_token(part) for part in found) == 1:
            raise TokenAlone(_bare("".join(self._around(part, secrets=secrets) for part in found)))
        return _bare("".join(_literal(part) if isinstance(part, str) else self._expression(part, secrets=secrets) for part in found))

    def _around(self, part: Any, *, secrets: bool) -> str:
        """A piece of a text with the page's token, which alone may stand there beside plain texts: the paging knows nothing else."""
        if not isinstance(part, str) and _is_token(part):
            return SLOT
        if isinstance(part, str) and "{" not in part:
            return part
        raise Untold("the page's token inside a longer text", "the page's token stands inside a longer text")

    def value(self, said: Any, parameters: Mapping[str, Any], *, secrets: bool = False) -> Any:
        """A value of JSON with all its texts filled."""
        if isinstance(said, str):
            return self.text(said, parameters, secrets=secrets)
        if isinstance(said, Mapping):
            return {self.text(key, parameters): self.value(inner, parameters, secrets=secrets) for key, inner in said.items()}
        return [self.value(inner, parameters, secrets=secrets) for inner in said] if isinstance(said, list) else said

    def _expression(self, node: nodes.Expr, *, secrets: bool) -> str:
        value = constant(node)
        if known(value):
            return _literal("" if value is None else str(value))
        if (clock := clock_of(node)) is not None:
            return placeholder(self.settings.clock(clock, time_format(clock.form) if clock.form else "iso"))
        if (path := path_of(node)) is not None:
            return self.reference(path, secrets=secrets)
        if (bound := self._bound(node)) is not None:
            return bound
        return self._computed(node, secrets=secrets)

    def _computed(self, node: nodes.Expr, *, secrets: bool) -> str:
        if isinstance(node, nodes.Concat):
            return "".join(self._expression(inner, secrets=secrets) for inner in node.nodes)
        if isinstance(node, nodes.Add) and _textual(node):
            return self._expression(node.left, secrets=secrets) + self._expression(node.right, secrets=secrets)
        if isinstance(node, nodes.CondExpr) and self.choosing:
            self.chosen = True
            return self._expression(node.expr1, secrets=secrets)
        if isinstance(node, nodes.Or) and (path := path_of(node.left)) is not None and (clock := clock_of(node.right)) is not None:
            return self._path_or_clock(path, clock)
        if (said := self._config_time(node)) is not None:
            return said
        if isinstance(node, nodes.Filter) and node.name in ("b64encode", "base64encode", "hash", "md5", "sha256", "hmac"):
            raise Untold(f"template: filter {node.name}", f"a template computes ({node.name})")
        raise Untold(f"template: {_kind(node)}", f"a template of a request computes ({_kind(node)})")

    def _path_or_clock(self, path: Path, clock: Clock) -> str:
        if path.root != "config":
            raise Untold("template: or")
        form = time_format(clock.form) if clock.form else "iso"
        default = f"{'today' if clock.day else 'now'}{f'-{clock.before}' if clock.before else ''}"
        return placeholder(self.settings.variable(path.steps, default, type="time", format=form))

    def _config_time(self, node: nodes.Expr) -> str | None:
        """`format_datetime(config['since'], '%Y-%m-%d')` and `timestamp(config['since']) * 1000`: a variable of that format."""
        form = "epoch"
        while isinstance(node, nodes.Filter) and node.name in ("int", "string") and node.node is not None:
            node = node.node
        if isinstance(node, nodes.Mul) and constant(node.right) == 1000:
            node, form = node.left, "epoch_ms"
        name = getattr(node.node, "name", "") if isinstance(node, nodes.Call) else ""
        if not isinstance(node, nodes.Call) or name not in ("format_datetime", "timestamp") or not node.args:
            return None
        if name == "format_datetime":
            said = constant(node.args[1]) if len(node.args) > 1 else None
            form = time_format(said) if isinstance(said, str) else ""
        path = path_of(node.args[0])
        if path is None or path.root != "config" or not form:
            raise Untold(f"template: {name}()", "a template makes a time of something other than a bound or a setting")
        return placeholder(self.settings.variable(path.steps, path.default, type="time", format=form))

    def _bound(self, node: Any) -> str | None:
        """`format_datetime(stream_interval.start_time, '%Y-%m-%d')`, `timestamp(…)`, `(timestamp(…) * 1000) | int` and `….strftime(…)`."""
        form = None
        if (path := cut_at_t(node)) is not None:
            if path.root == "config":
                return placeholder(self.settings.variable(path.steps, path.default, type="time", format="date"))
            return self._limit(path, "date")
        if isinstance(node, nodes.Filter) and node.name in ("int", "string") and node.node is not None:
            return self._bound(node.node)
        if isinstance(node, nodes.Mul) and constant(node.right) == 1000 and isinstance(node.left, nodes.Call):
            node, form = node.left, "epoch_ms"
        if not isinstance(node, nodes.Call) or not (node.args or isinstance(node.node, nodes.Getattr)):
            return None
        name = getattr(node.node, "name", "") or getattr(node.node, "attr", "")
        path = path_of(node.args[0]) if node.args and isinstance(node.node, nodes.Name) else None
        if name == "timestamp" and path is not None:
            return self._limit(path, form or "epoch")
        if name == "format_datetime" and path is not None and isinstance(form := constant(node.args[1]), str):
            return self._limit(path, time_format(form))
        if name == "strftime":
            inner = getattr(node.node, "node", None)
            path = path_of(inner.args[0]) if isinstance(inner, nodes.Call) and inner.args else None
            return self._limit(path, time_format(str(constant(node.args[0])))) if path and node.args else None
        return None

    def _limit(self, path: Path, form: str) -> str | None:
        word = self._bound_word(path)
        if word is None:
            return None
        self.forms.add(form)
        return word

    def _bound_word(self, path: Path) -> str | None:
        if path.root not in _SLICES or len(path.steps) != 1 or not self.bounded:
            return None
        return {self.starts: "{start}", self.ends: "{end}"}.get(str(path.steps[0]))

    def reference(self, path: Path, *, secrets: bool = False) -> str:
        """The placeholder of a path. Raises Untold."""
        if path.root == "config":
            return self._config(path, secrets=secrets)
        if path.root in _SLICES:
            return self._slice(path)
        if path.root == "next_page_token":
            raise Untold("the page's token inside a longer text", "the page's token stands inside a longer text")
        if path.root in ("creation_response", "polling_response", "download_target", "create_job_response", "poll_job_response"):
            return placeholder(".".join(map(str, ("job", *(path.steps or ("target",))))))
        raise Untold(f"template: {path.root} in a request", f"{path.root} is not known in a request")

    def _config(self, path: Path, *, secrets: bool) -> str:
        setting = self.settings.of(path.steps)
        if setting.secret and secrets:
            self.secret = True
            return placeholder(self.settings.credential(path.steps, "password"))
        if path.steps in self.settings.fields:
            if not secrets:
                raise Untold(
                    "a secret outside of headers, parameters and bodies", f"{path.name} signs requests and stands in an address too"
                )
            self.secret = True
            return f"{{{self.settings.fields[path.steps]}}}"
        return placeholder(self.settings.variable(path.steps, path.default))

    def _slice(self, path: Path) -> str:
        if (bound := self._bound_word(path)) is not None:
            self.forms.add(self.form)
            return bound
        steps = path.steps[1:] if path.steps[:1] == ("_partition",) else path.steps
        name = str(steps[0]) if steps else ""
        if name == "extra_fields" and self.extra_fields:
            return placeholder(".".join([self.extra_fields, *map(str, steps[1:])]))
        if name == "parent_slice" and self.grandparent is not None:
            return self.grandparent(steps[1:])
        if name not in self.slices:
            raise Untold("template: a slice that no partition has", f"{path.root}.{name} is no partition of the stream")
        found = self.slices[name]
        return found if len(steps) == 1 else f"{found[:-1]}.{'.'.join(map(str, steps[1:]))}}}"


def _bare(text: str) -> str:
    """Without quotes around the whole of it, which manifests have so that a number stays a text."""
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]
    return text[1:-1] if quoted else text


def _is_token(node: Any) -> bool:
    path = path_of(node)
    return path is not None and path.root == "next_page_token"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _textual(node: nodes.Add) -> bool:
    """Whether a sum puts texts together: one of its ends is a text."""
    return any(isinstance(constant(side), str) or (isinstance(side, nodes.Add) and _textual(side)) for side in (node.left, node.right))


def _kind(node: Any) -> str:
    if isinstance(node, nodes.BinExpr):
        return "arithmetic"
    if isinstance(node, nodes.Call):
        return f"{getattr(node.node, 'attr', '') or getattr(node.node, 'name', 'a call')}()"
    return f"filter {node.name}" if isinstance(node, nodes.Filter) else type(node).__name__.lower()


def span_of(said: Any, filling: Filling, parameters: Mapping[str, Any]) -> str:
    """A step or look-back: a duration of ISO 8601, or the variable that `P{{ config.days }}D` names. Raises Untold."""
    found = parts_of(str(said), parameters)
    if all(isinstance(part, str) for part in found):
        return days_of("".join(map(str, found)))
    if len(found) == 3 and isinstance(found[0], str) and isinstance(found[2], str) and found[0].startswith("P"):
        path = path_of(found[1])
        unit = {"PD": "d", "PTH": "h", "PTM": "m", "PTS": "s"}.get(f"{found[0]}{found[2]}")
        if path is not None and path.root == "config" and unit:
            setting = filling.settings.of(path.steps)
            default = path.default if path.default is not None else setting.schema.get("default")
            name = variable_word(path.name)
            filling.settings.variables[name] = {
                "type": "duration",
                **({"default": f"{default}{unit}"} if str(default).isdigit() else {"default": f"30{unit}"}),
                "description": str(setting.schema.get("title") or f"How long a span is, as 30{unit}"),
            }
            return placeholder(name)
    if len(found) == 1 and not isinstance(found[0], str) and (path := path_of(found[0])) is not None and path.root == "config":
        default = days_of(str(path.default)) if path.default else "30d"
        return placeholder(filling.settings.variable(path.steps, default, type="duration"))
    raise Untold("template: a duration", f"{str(said)[:80]!r} is no duration that we can write")
