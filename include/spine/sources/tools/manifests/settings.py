"""What a manifest says of a connector's configuration, as our Connection holds it: secrets in its fields, the rest as variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.sources.tools.drafts import Untold, variable_word
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.templates import Clock, Step

_TYPES = {"integer": "integer", "number": "number", "boolean": "boolean", "array": "list"}
_TIMES = {"date": "date", "date-time": "time"}


@dataclass(frozen=True)
class Setting:
    """One property of a configuration, with what its schema says."""

    path: tuple[Step, ...]
    schema: Mapping[str, Any] = field(default_factory=dict)
    needed: bool = False

    @property
    def secret(self) -> bool:
        """Whether nobody may read it."""
        return bool(self.schema.get("airbyte_secret"))


class Settings:
    """The configuration: which settings are used as variables, and which fields of the Connection the others become."""

    def __init__(self, specification: Component | None) -> None:
        self.variables: dict[str, dict[str, Any]] = {}
        self.fields: dict[tuple[Step, ...], str] = {}
        self._known: dict[tuple[Step, ...], Setting] = {}
        schema = specification.get("connection_specification") if specification else None
        if schema is not None:
            for setting in _settings(schema.plain(schema.value("properties")), set(schema.value("required") or ())):
                self._known.setdefault(setting.path, setting)

    def of(self, path: tuple[Step, ...]) -> Setting:
        """A setting, also one that no schema has."""
        found = self._known.get(path)
        if found is None and not self._known:
            named = str(path[-1]).lower() if path else ""
            secret = any(mark in named for mark in ("api_key", "apikey", "token", "secret", "password", "access_key"))
            return Setting(path, {"airbyte_secret": secret}, True)
        return found or Setting(path, {}, False)

    def variable(self, path: tuple[Step, ...], default: Any = None, **more: Any) -> str:
        """The variable of a setting, declared at its first use. Raises Untold for a secret, which no address may hold."""
        setting = self.of(path)
        if setting.secret and not _is_id(path):
            raise Untold("a secret outside of headers, parameters and bodies", f"{_said(path)} is a secret, which no path or host may hold")
        name = variable_word(str(path[-1]) if path else "config")
        declared = self.variables.setdefault(name, self._declared(setting))
        declared |= {key: value for key, value in more.items() if value not in (None, "")}
        if default not in (None, "") and declared.get("default") is None and not isinstance(default, dict):
            declared["default"] = default
            declared.pop("optional", None)
        return name

    def clock(self, at: Clock, form: str) -> str:
        """The variable of a time by the clock."""
        base = "today" if at.day else "now"
        said = f"{base}-{at.before}" if at.before else base
        name = said.replace("-", "_before_") if at.before else base
        name = f"{name}_{form}" if form in ("epoch", "epoch_ms") else name
        self.variables.setdefault(name, {"type": "time", "default": said, **({"format": form} if form != "iso" else {})})
        return name

    def credential(self, path: tuple[Step, ...], wanted: str) -> str:
        """The Connection's field of a setting: `wanted` if it is free, else one of its extra."""
        if path not in self.fields:
            free = wanted in ("login", "password") and wanted not in self.fields.values()
            self.fields[path] = wanted if free else self._extra(path)
        return self.fields[path]

    def _extra(self, path: tuple[Step, ...]) -> str:
        name = variable_word(str(path[-1]) if path else "secret")
        return f"{name}_secret" if name in self.variables else name

    def _declared(self, setting: Setting) -> dict[str, Any]:
        schema = setting.schema
        kind = schema.get("type")
        kind = next((one for one in kind if one != "null"), "string") if isinstance(kind, list) else kind
        made: dict[str, Any] = {}
        if word := _TIMES.get(str(schema.get("format"))) or _TYPES.get(str(kind)):
            made["type"] = word
        default = schema.get("default")
        if default not in (None, "", []) and not isinstance(default, dict):
            made["default"] = default
        elif not setting.needed and schema:
            made["optional"] = True
        choices = schema.get("enum")
        if isinstance(choices, list) and choices and all(isinstance(one, str | int | float) for one in choices):
            made["choices"] = choices
        if title := str(schema.get("title") or ""):
            made["description"] = " ".join(title.split())
        return made


def _settings(properties: Any, required: set[Any], at: tuple[Step, ...] = ()) -> Iterator[Setting]:
    """Every setting of a schema, those of its choices (`oneOf`) included."""
    if not isinstance(properties, Mapping) or len(at) > 6:
        return
    for name, schema in properties.items():
        if not isinstance(schema, Mapping):
            continue
        path = (*at, str(name))
        yield Setting(path, schema, name in required)
        yield from _settings(schema.get("properties"), set(schema.get("required") or ()), path)
        for one in schema.get("oneOf") or ():
            if isinstance(one, Mapping):
                yield from _settings(one.get("properties"), set(), path)


def _is_id(path: tuple[Step, ...]) -> bool:
    """Whether a setting is the number of an account, which opens nothing though a manifest hides it."""
    return bool(path) and str(path[-1]).lower().endswith(("_id", "account", "subdomain", "domain"))


def _said(path: tuple[Step, ...]) -> str:
    return f"config.{'.'.join(map(str, path))}"
