"""A whole description as a draft: its lists, the parents that their paths name, and what they have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spine.sources.tools.documents import read_document
from spine.sources.tools.drafts import Draft, placeholder, variable_word, word
from spine.sources.tools.openapi.auths import auths_of
from spine.sources.tools.openapi.document import Api, Operation
from spine.sources.tools.openapi.guessing import Guess, guess

_SLOT = re.compile(r"\{([^{}]+)\}")
_NO_NAME = re.compile(r"v?\d[\d.-]*|api|rest|json")
_PARENT_FIELDS = ("id", "sid", "uuid", "key", "slug", "name", "login", "number", "code")


def convert_openapi(path: Path, name: str) -> tuple[Draft, int]:
    """The draft of a source from a description, and how many lists that has. Raises ConfigError."""
    return _Converter(Api(read_document(path)), name).convert()


class _Converter:
    """One conversion."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self._draft = api, Draft(name)
        self._guesses: dict[str, tuple[Operation, Guess]] = {}  # by the stream's name
        self._variables: dict[str, dict[str, Any]] = {}

    def convert(self) -> tuple[Draft, int]:
        self._find()
        self._head()
        streams = {name: self._stream(name, operation, found) for name, (operation, found) in self._guesses.items()}
        for name in streams:
            self._below(name, streams)
        self._draft.streams = list(streams.values())
        if self._variables:
            self._draft.head["variables"] = self._variables
        if self._api.cuts:
            self._draft.remark(
                0,
                "",
                "references outside",
                f"{self._api.cuts} references to other files, to nothing or in circles were left alone",
                lost=False,
            )
        count = len(streams)
        self._draft.settle()
        return self._draft, count

    def _find(self) -> None:
        """Every operation that lists something, by a name for its stream: short paths first, so that parents have short names."""
        for operation in sorted(self._api.operations(), key=lambda one: (len(one.steps), one.path)):
            if operation.method != "get":
                self._asks_by_post(operation)
                continue
            found = guess(self._api, operation)
            if found is not None:
                self._guesses[self._name(operation)] = (operation, found)

    def _asks_by_post(self, operation: Operation) -> None:
        said = f"{operation.path} {operation.said.get('operationId')}".lower()
        if re.search(r"list|search|query|/get|sync", said) and guess(self._api, operation) is not None:
            what = f"{operation.path} lists by POST: what its body has to ask is for a person to say"
            self._draft.remark(operation.line, "", "lists by POST", what, lost=False)

    def _name(self, operation: Operation) -> str:
        fixed = [
            part
            for part in (one.removesuffix(".json") for one in operation.steps)
            if "{" not in part and not _NO_NAME.fullmatch(part.lower())
        ]
        taken = set(self._guesses)
        short = word(fixed[-1] if fixed else "records")
        return short if short not in taken else word("_".join(fixed) or "records", taken)

    def _head(self) -> None:
        draft, info = self._draft, self._api.at(self._api.document.get("info"))
        label = " ".join(str(info.get("title") or draft.name).split())[:60]
        draft.head = {"source": draft.name, "label": label, "domain": "revops"}
        draft.doubt((), "converted from a description in OpenAPI; look at what is marked like this, then try `spine sources read`")
        draft.doubt(("domain",), "who asks for it: revops, finops, supportops, marketingops or hr")
        auth, others, doubts = auths_of(self._api)
        if auth is not None:
            draft.head["auth"] = auth
        draft.head |= {"other_auths": others} if others else {}
        for text in doubts:
            draft.doubt(("auth",) if auth is not None else ("source",), text)
        servers = self._api.document.get("servers")
        server = self._api.at(servers[0]) if isinstance(servers, list) and servers else {}
        self._host(str(server.get("url") or ""), server.get("variables") or {})

    def _host(self, url: str, variables: dict[str, Any]) -> None:
        if not url.startswith(("http://", "https://")):
            self._draft.doubt(("source",), "the description names no address: it is the host of the Connection")
            return
        self._draft.head["host"] = _SLOT.sub(lambda found: placeholder(variable_word(found[1])), url.rstrip("/"))
        for name in _SLOT.findall(url):
            said = self._api.at(variables.get(name))
            default = str(said.get("default") or "")
            self._variables[variable_word(name)] = {"default": default} if re.fullmatch(r"[A-Za-z0-9.-]+", default) else {}

    def _stream(self, name: str, operation: Operation, found: Guess) -> dict[str, Any]:
        stream: dict[str, Any] = {"name": name, "path": operation.path}
        params, headers = self._needed(name, operation)
        stream |= {"params": params} if params else {}
        stream |= {"headers": headers} if headers else {}
        for place, text in found.doubts:
            self._draft.doubt(("streams", name, place), text)
        order = ("records", "map_key", "key", "cursor", "paging")
        return stream | {key: found.words[key] for key in order if key in found.words}

    def _needed(self, name: str, operation: Operation) -> tuple[dict[str, Any], dict[str, str]]:
        """Parameters that a request has to have: a value that the description gives, or a variable."""
        places: dict[str, dict[str, Any]] = {"query": {}, "header": {}}
        for one in operation.parameters:
            place, said = places.get(str(one.get("in"))), str(one["name"])
            version = "version" in said.lower() and one.get("in") == "header"
            if place is None or said.lower() in ("authorization", "accept", "content-type") or not (one.get("required") is True or version):
                continue
            value = self._given(one)
            if value is None and not one.get("required"):
                continue
            if value is None:
                variable = variable_word(said)
                self._variables.setdefault(variable, {"description": " ".join(str(one.get("description") or "").split())[:80]})
                self._draft.doubt(("streams", name, "path"), f"it needs {said}, which is a variable of the Connection here")
                value = placeholder(variable)
            place[said] = value if place is places["query"] else str(value)
        return places["query"], places["header"]

    def _given(self, one: dict[str, Any]) -> Any:
        schema = self._api.schema(one.get("schema"))
        for value in (schema.get("default"), *(schema.get("enum") or ())[:1], one.get("example"), schema.get("example")):
            if isinstance(value, str | int | float | bool) and value != "":
                return value
        return None

    def _below(self, name: str, streams: dict[str, dict[str, Any]]) -> None:
        """Put the parent's fields, or variables, in place of what a path leaves open."""
        operation, _ = self._guesses[name]
        slots = _SLOT.findall(operation.path)
        values: dict[str, str] = {}
        if slots:
            parent = self._parent(operation, slots[-1], name)
            if parent is not None:
                streams[name]["parent"] = {"stream": parent[0]}
                values[slots[-1]] = f"{{parent.{parent[1]}}}"
                for slot in slots[:-1]:
                    values[slot] = self._lifted(parent[0], slot, streams)
        for slot in slots:
            if slot not in values:
                variable = variable_word(slot)
                self._variables.setdefault(variable, {})
                values[slot] = f"{{{variable}}}"
                self._draft.doubt(
                    ("streams", name, "path"), f"no list of the description gives {slot}: it is a variable of the Connection here"
                )
        streams[name]["path"] = _SLOT.sub(lambda found: values[found[1]], operation.path)

    def _parent(self, operation: Operation, slot: str, name: str) -> tuple[str, str] | None:
        """The stream whose records an open part of a path names, and by which field."""
        prefix = operation.path.partition(f"{{{slot}}}")[0].rstrip("/")
        bare = re.sub(r"(_?id|_?sid|_?key|_?slug|_?name|_?uuid|_?number)\Z", "", slot.lower()) or slot.lower()
        nouns = {bare, f"{bare}s", f"{bare}es", f"{bare}list", f"{bare.removesuffix('y')}ies"} if len(bare) > 2 else set()
        for other, (found, guessed) in self._guesses.items():
            if other == name or f"{{{slot}}}" in found.path:
                continue
            last = (found.steps[-1].removesuffix(".json") if found.steps else "").lower().replace("_", "").replace("-", "")
            same = found.path.removesuffix(".json").rstrip("/") == prefix
            named = last in {noun.replace("_", "") for noun in nouns} and "{" not in found.path
            if (same or named) and (field := self._field(slot, guessed)):
                if not same:
                    self._draft.doubt(("streams", name, "parent"), f"that {slot} is of {other} is a guess by its name")
                return other, field
        return None

    def _field(self, slot: str, guessed: Guess) -> str | None:
        """The field of a record that an open part of a path wants."""
        names = list(self._api.properties(guessed.item))
        lower = {one.lower().replace("_", ""): one for one in names}
        plain = slot.lower().replace("_", "")
        key = guessed.words.get("key")
        ends = [end for end in _PARENT_FIELDS if plain.endswith(end)]
        usual = ["login", "slug", "name"] if not ends else []
        for wanted in (plain, *ends, *usual):
            if wanted in lower:
                return lower[wanted]
        return key[0] if isinstance(key, list) else None

    def _lifted(self, parent: str, slot: str, streams: dict[str, dict[str, Any]]) -> str:
        """What a parent itself is below of, as a field that its records get; a variable stays one."""
        operation, _ = self._guesses[parent]
        if f"{{{slot}}}" not in operation.path:
            variable = variable_word(slot)
            self._variables.setdefault(variable, {})
            return f"{{{variable}}}"
        slots = _SLOT.findall(operation.path)
        above = self._parent(operation, slots[-1], parent)
        if above is None:
            variable = variable_word(slot)
            self._variables.setdefault(variable, {})
            return f"{{{variable}}}"
        inner = f"{{parent.{above[1]}}}" if slot == slots[-1] else self._lifted(above[0], slot, streams)
        if not inner.startswith("{parent."):
            return inner
        field = f"parent_{variable_word(slot)}"
        streams[parent].setdefault("compute", {})[field] = inner
        return f"{{parent.{field}}}"
