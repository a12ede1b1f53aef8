"""One stream of a manifest as a stream of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spine.sources.tools.drafts import Untold
from spine.sources.tools.manifests import cursors
from spine.sources.tools.manifests.asking import Asked, asked_by
from spine.sources.tools.manifests.auths import auths_of, with_secrets
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.faults import rules_of
from spine.sources.tools.manifests.filling import Filling
from spine.sources.tools.manifests.jobs import job_of
from spine.sources.tools.manifests.pagers import Pager
from spine.sources.tools.manifests.records import Records
from spine.sources.tools.manifests.routers import Routed, routed_by
from spine.sources.tools.manifests.settings import Settings
from spine.sources.tools.manifests.templates import Path, Step, parts_of

_ORDER = (
    "name", "path", "host", "method", "params", "lists", "headers", "body", "fields", "field_list", "response", "records", "map_key",
    "key", "cursor", "paging", "parent", "partitions", "filters", "flatten", "compute", "errors", "job", "later", "auth",
)  # fmt: skip
_LATER = ("path", "method", "params", "lists", "headers", "body", "response", "records", "map_key", "paging")
Lack = tuple[int, str, str]


@dataclass
class Made:
    """A stream that converted: its words, what stands in the source's own, guesses by place, and what was not needed."""

    words: dict[str, Any]
    filling: Filling
    base: str = ""
    auth: dict[str, Any] | None = None
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    lacks: list[Lack] = field(default_factory=list)


class StreamConverter:
    """Converts one stream. `parent_of` gives the name of a parent that is converted before, and adds a field to it where asked."""

    def __init__(
        self, name: str, settings: Settings, parent_of: Callable[[Component], str], lift: Callable[[str, tuple[Step, ...]], str]
    ) -> None:
        self._name, self._parent_of, self._lift = name, parent_of, lift
        self._filling = Filling(settings)
        self._made = Made({"name": name}, self._filling)

    def convert(self, stream: Component) -> Made:
        """The stream. Raises Untold."""
        if stream.custom:
            raise Untold("custom code: stream", f"the stream is code: {stream.type}", stream.line)
        if stream.type == "StateDelegatingStream" or "full_refresh_stream" in stream:
            return self._delegating(stream)
        retriever = stream.get("retriever")
        if retriever is None or retriever.custom:
            raise Untold("custom code: retriever", f"it is read by code: {retriever.type if retriever else 'nothing'}", stream.line)
        incremental = self._cursor_of(stream)
        cursors.prepare(incremental, self._filling)
        routed = self._routed(retriever)
        self._identified(retriever)
        asked = self._asked(retriever, routed)
        self._paged(retriever, asked)
        self._selected(retriever, stream)
        self._made.words["key"] = self._key(stream, retriever)
        if incremental is not None:
            self._incremental(incremental, asked)
        self._signed(retriever, asked)
        self._made.base = asked.base
        if self._filling.chosen:
            self._made.doubts.append(
                ("name", "the manifest chooses between addresses by a setting; here it is the first, or the Connection's")
            )
        self._made.words |= asked.words | asked.fields
        return self._finished()

    def _cursor_of(self, stream: Component) -> Component | None:
        """The incremental sync. One that is code is left away: everything is read each time, unless a request names what it would give."""
        found = stream.get("incremental_sync")
        if found is not None and found.custom:
            self._made.lacks.append(
                (found.line, "custom code: incremental sync", f"its cursor is code, {found.type}; everything is read each time")
            )
            return None
        return found

    def _finished(self) -> Made:
        words = self._made.words
        self._made.lacks += self._filling.lacks
        self._made.words = {name: words[name] for name in _ORDER if words.get(name) not in (None, [], {}, ())}
        return self._made

    def _routed(self, retriever: Component) -> Routed:
        routed = routed_by(retriever, self._filling)
        if routed.parent is not None:
            parent = self._parent_of(routed.parent)
            self._made.words["parent"] = {"stream": parent, **routed.parent_words}
            self._filling.grandparent = lambda steps: self._lift(parent, steps)
        for name, other, key in routed.others:
            routed.partitions[name] = {"stream": self._parent_of(other), "field": key}
        if routed.partitions:
            self._made.words["partitions"] = routed.partitions
        return routed

    def _asked(self, retriever: Component, routed: Routed) -> Asked:
        if retriever.type == "AsyncRetriever" or "creation_requester" in retriever:
            job, created, asked = job_of(retriever, self._filling)
            self._made.words["job"] = job
            asked.base = asked.base or created.base
            asked.secret_headers |= created.secret_headers
        else:
            requester = retriever.get("requester")
            if requester is None:
                raise Untold("a retriever without a requester", "", retriever.line)
            asked = asked_by(requester, self._filling)
        for option, value in routed.places:
            _place(option, value, asked, self._filling)
        return asked

    def _requester(self, retriever: Component) -> Component | None:
        return retriever.get("requester") or retriever.get("creation_requester")

    def _paged(self, retriever: Component, asked: Asked) -> None:
        found = retriever.get("paginator") or retriever.get("download_paginator")
        if found is None:
            if asked.token is not None:
                raise Untold("a page's token without a paginator", "", retriever.line)
            return
        pager = Pager(found, asked, self._filling)
        if (paging := pager.paging()) is not None:
            self._made.words["paging"] = paging
        self._made.doubts += [("paging", text) for text in pager.doubts]
        self._made.lacks += pager.lacks

    def _selected(self, retriever: Component, stream: Component) -> None:
        records = Records(retriever, self._filling)
        records.select(self._made.words.get("paging"))
        for found in stream.all("transformations"):
            records.transform(found)
        self._made.words |= records.words
        self._made.doubts += records.doubts
        self._made.lacks += records.lacks

    def _key(self, stream: Component, retriever: Component) -> Any:
        said = stream.value("primary_key")
        if said in (None, "", []):
            said = retriever.value("primary_key")
        fields = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        found = []
        for one in fields:
            steps = one if isinstance(one, list) else [one]
            found.append(".".join("".join(map(str, parts_of(str(step), stream.parameters))) for step in steps))
        found = [name for name in dict.fromkeys(found) if name]
        if not found:
            self._made.doubts.append(
                ("key", "the manifest names no key: equal content is one record here; name the fields if there are some")
            )
        return found or "hash"

    def _incremental(self, found: Component, asked: Asked) -> None:
        incremental = cursors.Incremental(found, asked, self._filling)
        self._made.words["cursor"] = incremental.cursor()
        self._made.doubts += [("cursor", text) for text in incremental.doubts]

    def _identified(self, retriever: Component) -> None:
        """Before anything else is read, so that the first secret of an account is its authentication's."""
        requester = self._requester(retriever)
        if requester is not None:
            self._made.auth, self._made.others = auths_of(requester.get("authenticator"), self._filling)

    def _signed(self, retriever: Component, asked: Asked) -> None:
        requester = self._requester(retriever)
        if requester is None:
            return
        if asked.secret_headers or asked.secret_params:
            self._made.auth = with_secrets(self._made.auth, asked.secret_headers, asked.secret_params, requester.line)
        rules, lacks = rules_of(requester.get("error_handler"))
        self._made.lacks += lacks
        if rules:
            self._made.words["errors"] = rules

    def _delegating(self, stream: Component) -> Made:
        """One stream that is asked otherwise once it has a cursor."""
        full, changes = stream.get("full_refresh_stream"), stream.get("incremental_stream")
        if full is None or changes is None:
            raise Untold("a stream of two that are none", "", stream.line)
        first = StreamConverter(self._name, self._filling.settings, self._parent_of, self._lift).convert(full)
        later = StreamConverter(self._name, self._filling.settings, self._parent_of, self._lift).convert(changes)
        if "cursor" not in later.words and "cursor" not in first.words:
            raise Untold("changes without a cursor", "", stream.line)
        if (first.base, first.words.get("parent")) != (later.base, later.words.get("parent")):
            raise Untold("changes that are asked for at another place", "its changes have another parent or host", stream.line)
        block = {word: later.words[word] for word in _LATER if word in later.words and later.words[word] != first.words.get(word)}
        block |= {word: {} for word in ("params", "headers") if word in first.words and word not in later.words}
        if "paging" in first.words and "paging" not in later.words:
            block["paging"] = {"type": "none"}
        cursor = later.words.get("cursor") or first.words["cursor"]
        asks = cursor.get("since") or cursor.get("until")
        if asks:  # a full read does not know these
            block["params"] = {**later.words.get("params", {}), **({cursor["since"]: "{start}"} if cursor.get("since") else {})}
            block["params"] |= {cursor["until"]: "{end}"} if cursor.get("until") else {}
        first.words["cursor"] = {key: value for key, value in cursor.items() if key not in ("since", "until", "start", "windows")} | {
            "since": None
        }
        first.words["later"] = block
        first.doubts.append(
            ("later", "the manifest asks for changes in another way than for everything; compare both with the vendor's pages")
        )
        first.lacks += later.lacks
        self._made, words = first, first.words
        first.words = {name: words[name] for name in _ORDER if name in words}
        return first


def _place(option: Component, value: str, asked: Asked, filling: Filling) -> None:
    """A partition's value at the place of a request that an option says."""
    path = option.value("field_path")
    name = ".".join(map(str, path)) if isinstance(path, list) and path else filling.text(option.text("field_name"), option.parameters)
    into = option.text("inject_into")
    words = {"request_parameter": "params", "header": "headers", "": "params"}.get(into)
    if words is not None:
        asked.words.setdefault(words, {})[name] = value
        return
    kind = {"body_json": "json", "body_data": "form"}.get(into)
    if kind is None or "." in name:
        raise Untold(f"a partition in {into}", f"a partition's value stands in {into}", option.line)
    asked.words.setdefault("body", {kind: {}}).setdefault(kind, {})[name] = value


def lifted(made: Made, steps: tuple[Step, ...]) -> str:
    """The placeholder of what a parent knows of its own parent: a field that its records get. Raises Untold."""
    if not steps:
        raise Untold("template: a slice as a whole")
    name = f"parent_{'_'.join(str(step) for step in steps if step != 'parent_slice')}"
    made.words.setdefault("compute", {})[name] = made.filling.reference(Path("stream_slice", steps))
    return f"{{parent.{name}}}"
