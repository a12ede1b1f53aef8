"""A whole manifest as a draft: its streams, and what they have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from spine.core.errors import ConfigError
from spine.core.placeholders import alone
from spine.sources.tools.documents import Map, read_document
from spine.sources.tools.drafts import Draft, Untold, word
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.settings import Settings
from spine.sources.tools.manifests.streams import Made, StreamConverter, lifted
from spine.sources.tools.manifests.templates import Step, days_of

_ORIGIN = re.compile(r"https?://[^/\s]+")
_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def convert_manifest(path: Path, name: str) -> tuple[Draft, int]:
    """The draft of a source from a manifest, and how many streams that has. Raises ConfigError if nothing of it converts."""
    document = read_document(path)
    if not isinstance(document.get("streams"), list) and not isinstance(document.get("dynamic_streams"), list):
        raise ConfigError(
            f"{path} is no manifest: it has no list of streams", hint="Name a declarative manifest, as its builder exports it"
        )
    return _Converter(document, name).convert()


class _Converter:
    """One conversion."""

    def __init__(self, document: Map, name: str) -> None:
        self._document = document
        self._root = Component(document, document)
        self._settings = Settings(self._root.get("spec"))
        self._draft = Draft(name)
        self._made: dict[str, Made] = {}
        self._names: dict[str, str] = {}  # of the manifest, ours
        self._failed: dict[str, str] = {}
        self._under_way: set[str] = set()

    def convert(self) -> tuple[Draft, int]:
        streams = list(self._streams())
        wanted = [stream.text("name") or f"stream {number}" for number, stream in enumerate(streams, 1)]
        for name in wanted:
            self._names.setdefault(name, word(name, set(self._names.values())))
        for name, stream in zip(wanted, streams, strict=True):
            self._stream(name, stream)
        dynamic = self._root.all("dynamic_streams")
        for found in dynamic:
            self._draft.remark(
                found.line, word(found.text("name") or "dynamic"), "streams found at run time", "its streams are found when it runs"
            )
        self._assemble()
        self._draft.settle()
        return self._draft, len(streams) + len(dynamic)

    def _streams(self) -> Iterator[Component]:
        for found in self._root.all("streams"):
            if found.type == "ConditionalStreams":
                for inner in found.all("streams"):
                    self._draft.remark(
                        found.line, word(inner.text("name")), "streams under a condition", "read whatever its condition says", lost=False
                    )
                    yield inner
            else:
                yield found

    def _stream(self, said: str, stream: Component) -> None:
        """Convert a stream, once. What goes wrong with it is its own affair."""
        name = self._names.setdefault(said, word(said, set(self._names.values())))
        if name in self._made or name in self._failed:
            return
        self._under_way.add(name)
        try:
            self._made[name] = StreamConverter(name, self._settings, self._parent_of, self._lift).convert(stream)
        except Untold as untold:
            self._failed[name] = untold.what
            self._draft.remark(untold.line or stream.line, name, untold.kind, untold.what)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:  # whatever shape a file has
            self._failed[name] = "it has another form than manifests have"
            self._draft.remark(stream.line, name, "another form", f"it has another form than manifests have ({type(error).__name__})")
        finally:
            self._under_way.discard(name)

    def _parent_of(self, stream: Component) -> str:
        said = stream.text("name") or f"parent at line {stream.line}"
        name = self._names.setdefault(said, word(said, set(self._names.values())))
        if name in self._under_way:
            raise Untold("parents in circles", f"{name} is its own parent", stream.line)
        self._stream(said, stream)
        if name in self._failed:
            raise Untold("its parent did not convert", f"its parent {name} did not convert", stream.line)
        return name

    def _lift(self, parent: str, steps: tuple[Step, ...]) -> str:
        return lifted(self._made[parent], steps)

    def _assemble(self) -> None:
        """The source's own words, and what the streams do not share."""
        draft, made = self._draft, self._made
        label = draft.name.replace("_", " ").title()
        draft.head = {"source": draft.name, "label": label, "domain": "revops"}
        draft.doubt((), "converted from a low-code manifest; look at what is marked like this, then try `spine sources read`")
        draft.doubt(("domain",), "who asks for it: revops, finops, supportops, marketingops or hr")
        auths = Counter(orjson.dumps(one.auth).decode() for one in made.values())
        usual = orjson.loads(auths.most_common(1)[0][0]) if auths else None
        if usual is not None:
            draft.head["auth"] = {**usual, **self._form()}
        others = next((one.others for one in made.values() if one.others), {})
        if others:
            draft.head["other_auths"] = others
        self._limits()
        base = self._base()
        self._shared("errors")
        self._shared("headers")
        variables = dict(self._settings.variables)
        for name, one in made.items():
            self._placed(name, one, base, usual)
        self._variables(variables)

    def _form(self) -> dict[str, Any]:
        """What the manifest calls the Connection's fields."""
        named = {field: str(path[-1]) for path, field in self._settings.fields.items() if path and field in ("login", "password")}
        usual = {"login": ("username", "client_id", "user"), "password": ("password", "client_secret")}
        odd = {field: said.replace("_", " ").capitalize() for field, said in named.items() if said not in usual[field]}
        return {"form": odd} if odd else {}

    def _limits(self) -> None:
        budget = self._root.get("api_budget")
        policies = budget.all("policies") if budget else []
        for policy in policies[:1]:
            rates = policy.all("rates")
            said = rates[0] if rates else policy
            limit, per = said.value("limit") or said.value("call_limit"), said.text("interval") or said.text("period")
            if str(limit).isdigit() and int(limit) > 0 and per:
                try:
                    self._draft.head["rate_limit"] = {"requests": int(limit), "per": days_of(per), "burst": int(limit)}
                except Untold:
                    continue

    def _base(self) -> str:
        """The address that most streams have in common, up to where something of it differs from account to account."""
        origins: Counter[str] = Counter()
        for one in self._made.values():
            found = _ORIGIN.match(one.base)
            if found is None:
                origins[""] += 1
                continue
            rest = one.base[found.end() :]
            cut = rest if "{" not in rest else ""
            one.words["path"] = f"{rest.rstrip('/')}/{one.words.get('path', '').lstrip('/')}" if "{" in rest else one.words.get("path", "")
            one.base = f"{found[0]}{cut}".rstrip("/")
            origins[one.base] += 1
        base = origins.most_common(1)[0][0] if origins else ""
        if base:
            self._draft.head["host"] = base
        return base

    def _shared(self, name: str) -> None:
        """Move what all streams say to the source."""
        said = [one.words.get(name) for one in self._made.values()]
        if (
            len(said) > 1
            and said[0]
            and all(one == said[0] for one in said)
            and not re.search(r"\{(parent|partition|start|end|job)", str(said[0]))
        ):
            self._draft.head[name] = said[0]
            for one in self._made.values():
                del one.words[name]

    def _placed(self, name: str, one: Made, base: str, usual: Any) -> None:
        words = one.words
        if one.base and one.base != base and _ORIGIN.match(one.base):
            words["host"] = one.base
            host = one.base.partition("://")[2].partition("/")[0].lower()
            if host != base.partition("://")[2].partition("/")[0].lower():
                hosts = self._draft.head.setdefault("hosts", [])
                if host not in hosts:
                    hosts.append(host)
        elif one.base and one.base != base:
            self._whole_address(one)
        if one.auth != usual:
            words["auth"] = one.auth or {"type": "none"}
        path = words.get("path", "")
        if path and not path.startswith(("/", "http")) and not alone(path):
            words["path"] = f"/{path}"
        ordered = {key: words[key] for key in ("name", "path", "host") if words.get(key)}
        self._draft.streams.append({**ordered, **{key: value for key, value in words.items() if key not in ordered and key != "path"}})
        for place, text in one.doubts:
            self._draft.doubt(("streams", name, place), text)
        for line, kind, what in one.lacks:
            self._draft.remark(line, name, kind, what, lost=False)
            self._draft.doubt(("streams", name, "name"), f"not converted: {what}")

    def _whole_address(self, one: Made) -> None:
        """An account's whole address is the Connection's."""
        found = _VARIABLE.match(one.base)
        rest = one.base[found.end() :] if found else one.base
        path = one.words.get("path", "")
        one.words["path"] = f"{rest.rstrip('/')}/{path.lstrip('/')}" if rest else path
        if found:
            self._draft.doubt(("label",), f"the address of an account, {found[1]} in the manifest, is the host of its Connection")
            one.base = ""

    def _variables(self, variables: dict[str, dict[str, Any]]) -> None:
        """Those that something names."""
        text = orjson.dumps([self._draft.streams, self._draft.head]).decode()
        used = {name: said for name, said in variables.items() if f"{{{name}}}" in text or f'"{name}"' in text}
        if used:
            self._draft.head["variables"] = used
