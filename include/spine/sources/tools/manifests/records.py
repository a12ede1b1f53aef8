"""Selectors, filters, decoders and transformations as words of what becomes of a record."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes

from spine.sources.tools.drafts import Untold
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling
from spine.sources.tools.manifests.pagers import jmespath_of
from spine.sources.tools.manifests.templates import (
    Path,
    clock_of,
    constant,
    expression_of,
    jmespath,
    known,
    parts_of,
    path_of,
)

Words = dict[str, Any]
_COUNTED = ("page", "offset")
_RECORD = {"record": ""}
_CURSORS = ("stream_state", "stream_interval", "stream_slice", "now_utc", "today_utc")


class Records:
    """What becomes of the records of one stream. `lacks` is what of it has no words and is not needed."""

    def __init__(self, retriever: Component, filling: Filling) -> None:
        self._retriever, self._filling = retriever, filling
        self.words: Words = {}
        self.doubts: list[tuple[str, str]] = []
        self.lacks: list[tuple[int, str, str]] = []

    def select(self, paging: Words | None) -> None:
        """Format, place and filters of the records. Raises Untold."""
        self._decode(self._retriever.get("decoder"))
        selector = self._retriever.get("record_selector")
        if selector is None:
            return
        extractor = selector.get("extractor")
        if extractor is not None:
            self._extract(extractor)
        found = selector.get("record_filter")
        if found is not None:
            self._filter(found, paging)

    def _decode(self, decoder: Component | None) -> None:
        if decoder is None:
            return
        if decoder.custom:
            raise Untold("custom code: decoder", f"its answers are read by code: {decoder.type}", decoder.line)
        packed = False
        while decoder is not None and decoder.type in ("GzipDecoder", "ZipfileDecoder"):
            packed, decoder = True, decoder.get("decoder")
        kind = decoder.type if decoder else "JsonDecoder"
        if kind == "JsonItemsDecoder" and decoder is not None:
            self.words["records"] = decoder.text("items_path").removesuffix(".item")
        formats = {"JsonlDecoder": "jsonl", "CsvDecoder": "csv", "XmlDecoder": "xml", "JsonDecoder": "", "JsonItemsDecoder": "", "": ""}
        if kind not in formats:
            raise Untold(f"decoder {kind}", f"we read no answers of {kind}", decoder.line if decoder else 0)
        if formats[kind]:
            self.words["response"] = formats[kind]
        elif packed:
            self.words["response"] = {"type": "json", "packed": True}

    def _extract(self, extractor: Component) -> None:
        if extractor.custom and extractor.value("field_path") is not None:
            self.lacks.append(
                (
                    extractor.line,
                    "custom code: record extractor",
                    f"its records are found by code, {extractor.type}; here by its path",
                )
            )
        elif extractor.custom:
            raise Untold("custom code: record extractor", f"its records are found by code: {extractor.type}", extractor.line)
        if extractor.type == "ResponseToFileExtractor":
            self.words["response"] = "csv"
            return
        said = extractor.value("field_path")
        if said is None:
            said = extractor.value("field_pointer")  # its name in the first manifests
        steps = [said] if isinstance(said, str) else said or []
        steps = [self._step(step, extractor) for step in steps]
        expander = extractor.get("record_expander")
        if expander is not None:
            steps += ["*", *map(str, expander.value("expand_records_from_field") or ())]
            self.doubts.append(("records", "the manifest takes each record apart by a list in it, and may keep the record around"))
        if not steps or self.words.get("response") in ("csv", "jsonl"):
            return
        if steps[-1] == "*":
            self.words["map_key"] = "_name"
            self.doubts.append(("map_key", "the records are the values of a map or of a list; of a map, their names go to this field"))
            steps = steps[:-1]
        if steps:
            self.words["records"] = _through(steps)

    def _step(self, step: Any, extractor: Component) -> str:
        found = parts_of(str(step), extractor.parameters)
        if all(isinstance(part, str) for part in found):
            return "".join(map(str, found))
        raise Untold("template: in the place of the records", f"where its records are depends on a setting: {step!r}", extractor.line)

    def _filter(self, found: Component, paging: Words | None) -> None:
        if found.custom:
            raise Untold("custom code: record filter", f"its records are chosen by code: {found.type}", found.line)
        node = expression_of(found.text("condition"), found.parameters)
        if node is None or constant(node) is True:
            return
        if any(name.name in _CURSORS for name in node.find_all(nodes.Name)):
            self.lacks.append((found.line, "filter by the cursor", "its filter by time is left to the cursor, which keeps what is new"))
            return
        simple = _simple(node)
        if simple is not None:
            self.words["filters"] = simple
            return
        said = jmespath(node, _RECORD)
        if paging and paging["type"] in _COUNTED:
            raise Untold(
                "a filter that computes, with counted pages",
                "its filter needs JMESPath, and pages are counted by their records",
                found.line,
            )
        base = self.words.get("records", "@")
        self.words["records"] = f"{base}[?{said}]" if base != "@" else f"[?{said}]"

    def transform(self, found: Component) -> None:
        """One transformation. Raises Untold."""
        kind = found.type or ("AddFields" if "fields" in found else "RemoveFields" if "field_pointers" in found else "")
        if found.custom:
            self.lacks.append(
                (found.line, "custom code: transformation", f"its records are changed by code, {found.type}; here they stay as sent")
            )
        elif kind == "AddFields":
            for one in found.all("fields"):
                self._add(one, found)
        elif kind == "DpathFlattenFields":
            self._flatten(found)
        elif kind == "RemoveFields":
            names = [".".join(map(str, path)) for path in found.value("field_pointers") or () if isinstance(path, list)]
            self.lacks.append((found.line, "removed fields", f"fields that the manifest removes are kept: {', '.join(names)[:120]}"))
        else:
            self.lacks.append((found.line, f"transformation {kind}", f"names of fields stay as they are sent: we have no {kind}"))

    def _add(self, one: Component, around: Component) -> None:
        path = [str(step) for step in one.value("path") or ()]
        path = ["".join(map(str, parts_of(step, one.parameters))) for step in path]
        if len(path) != 1:
            raise Untold("a computed field inside of another", f"it sets the field {'.'.join(path)}", one.line)
        said = one.value("value")
        condition = expression_of(around.text("condition"), around.parameters) if around.text("condition") else None
        made = self._computed(path[0], said, one)
        if made is None:
            return
        if condition is not None:
            if made.startswith("{"):
                raise Untold("a computed field under a condition", "", around.line)
            made = f"({jmespath(condition, _RECORD)}) && {made}"
        self.words.setdefault("compute", {})[path[0]] = made

    def _computed(self, name: str, said: Any, one: Component) -> str | None:
        """What a field is set to: a JMESPath over the record, or placeholders; None where it is our own already."""
        if not isinstance(said, str):
            return jmespath(nodes.Const(said), {})
        found = parts_of(said, one.parameters)
        if len(found) == 1 and not isinstance(found[0], str) and clock_of(found[0]) is not None:
            self.lacks.append(
                (one.line, "a field with the time of reading", f"{name} would be the time of reading, which Bronze keeps anyway")
            )
            return None
        if len(found) == 1 and not isinstance(found[0], str):
            return self._single(name, found[0], one)
        if all(isinstance(part, str) for part in found):
            return jmespath(nodes.Const("".join(map(str, found))), {})
        texts = [nodes.Const(part) if isinstance(part, str) else part for part in found]
        return f"join('', [{', '.join(self._piece(name, number, part, one) for number, part in enumerate(texts))}])"

    def _single(self, name: str, node: nodes.Expr, one: Component) -> str | None:
        path = path_of(node)
        if path is None and (turned := _turned(node)) is not None:
            self.lacks.append((one.line, "a field in another notation", f"{name} is kept as it is sent, a time in its own notation"))
            return jmespath_of(turned) or None
        if path is None or path.root == "record":
            itself = path is not None and path.steps == (name,) and path.default in (None, "")
            return None if itself else jmespath(node, _RECORD)
        self._not_bound(path, one)
        return self._filling.reference(path)

    def _not_bound(self, path: Path, one: Component) -> None:
        bounds = (self._filling.starts, self._filling.ends)
        if self._filling.bounded and path.root.startswith("stream_") and path.name in bounds:
            raise Untold("a field with a bound of what is read", "a field is set to a bound of what is read", one.line)

    def _piece(self, name: str, number: int, node: Any, one: Component) -> str:
        """A part of a longer text; what the record does not have becomes a field of its own first."""
        path = path_of(node)
        if path is None or path.root == "record":
            value = constant(node)
            return jmespath(node, _RECORD) if known(value) and isinstance(value, str) else f"to_string({jmespath(node, _RECORD)})"
        self._not_bound(path, one)
        helper = f"_{name}_{number}"
        self.words.setdefault("compute", {})[helper] = self._filling.reference(path)
        return f"to_string({helper})"

    def _flatten(self, found: Component) -> None:
        path = [self._step(step, found) for step in found.value("field_path") or ()]
        if "*" in path or not path:
            raise Untold("flattening of a list", "it flattens the elements of a list", found.line)
        if found.value("replace_record"):
            base = self.words.get("records", "@")
            self.words["records"] = f"{base}[].{_through(path)}" if base != "@" else f"[].{_through(path)}"
            return
        keys = found.get("key_transformation")
        self.words.setdefault("flatten", {})[".".join(path)] = keys.text("prefix") if keys else ""


def _turned(node: Any) -> Path | None:
    """The field that a template only writes in another notation."""
    name = getattr(getattr(node, "node", None), "name", "") if isinstance(node, nodes.Call) else ""
    if name in ("format_datetime", "timestamp", "str_to_datetime") and node.args:
        path = path_of(node.args[0])
        return path if path is not None and path.root == "record" else None
    return None


def _through(steps: list[str]) -> str:
    """A way to records as a JMESPath; `*` goes through a list, or the values of a map."""
    parts: list[list[str]] = [[]]
    for step in steps:
        if step == "*":
            parts.append([])
        else:
            parts[-1].append(step)
    found = jmespath_of(Path("response", tuple(int(step) if step.lstrip("-").isdigit() else step for step in parts[0]))) or "@"
    for part in parts[1:]:
        inner = jmespath_of(Path("response", tuple(part)))
        rest = f".{inner}" if inner else ""
        many, named = (f"{found}[*]{rest}", f"{found}.*{rest}") if found != "@" else (f"[*]{rest}", f"*{rest}")
        found = f"({many} || {named})[]"
    return found


def _simple(node: Any) -> list[dict[str, Any]] | None:
    """A condition as filters, None where it asks more than whether fields have one of some values."""
    if isinstance(node, nodes.And):
        left, right = _simple(node.left), _simple(node.right)
        return [*left, *right] if left is not None and right is not None else None
    if not isinstance(node, nodes.Compare) or len(node.ops) != 1:
        return None
    path, value, operator = path_of(node.expr), constant(node.ops[0].expr), node.ops[0].op
    if path is None or path.root != "record" or path.default is not None or not all(isinstance(step, str) for step in path.steps):
        return None
    values = value if isinstance(value, list) else [value]
    if not path.steps or not known(value) or not all(isinstance(one, str | int | bool) and one != "" for one in values):
        return None
    word = {"eq": "one_of", "in": "one_of", "ne": "none_of", "notin": "none_of"}.get(operator)
    if word is None or (operator in ("in", "notin")) != isinstance(value, list):
        return None
    return [
        {
            "field": ".".join(map(str, path.steps)),
            word: [("true" if one else "false") if isinstance(one, bool) else str(one) for one in values],
        }
    ]
