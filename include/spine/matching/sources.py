"""Several files as sources: how they are named, and which column of each holds what. Reads the first rows of each file, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from spine.core.entities import Entity, MatchRules, load_entity, load_match_rules
from spine.core.errors import ConfigError
from spine.core.texts import nearest
from spine.matching import files as match_files
from spine.matching.columns import Column, guessed, likely_ids, plain
from spine.matching.compressed import inner_name
from spine.matching.records import RECORD, SOURCE, Mapped, Source

SAMPLED = 1_000
_ID = "record_id"
_HAS = "`spine match … --explain-plan` prints which columns were found"
_NAME = re.compile(r"[^\s:=/][^:=]{0,59}")
# Attributes that a file may have in place of an entity's own: of the first kind if it has none of the others.
_WHOLE_NAME, _HOUSE = "full_name", "house_number"


@dataclass(frozen=True)
class Stated:
    """What a person has stated: the names of sources (`name=path`), and columns (`[source.]attribute=column`, nothing for none)."""

    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass
class _Columns:
    """Stated columns by source (empty: every source) and attribute."""

    stated: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, source: str, there: Sequence[str]) -> dict[str, str]:
        """Those of a source that has the columns `there`; what is stated for every source holds where there is such a column."""
        every = {name: column for (own, name), column in self.stated.items() if not own and (not column or column in there)}
        return every | {name: column for (own, name), column in self.stated.items() if own == source}

    def require_used(self, sources: Sequence[Source]) -> None:
        """Raises ConfigError for a column, stated for every source, that none has."""
        for (own, name), column in self.stated.items():
            if not own and column and not any(column == source.columns.get(name, source.record_id) for source in sources):
                every = [one for source in sources for one in (source.record_id, *source.columns.values(), *source.unused)]
                raise ConfigError(f"--column {name}={column}: no source has such a column{nearest(column, every)}", hint=_HAS)


def asked(paths: Sequence[Path], entity: str, stated: Stated) -> tuple[Path | Mapped, Path | MatchRules]:
    """The records and their rules, as a command names them: one file as its rules say, or files whose columns are mapped.

    Raises ConfigError if there are none, and as `mapped`.
    """
    if not paths and not stated.names:
        raise ConfigError("there are no records to match", hint="Name a file, such as spine match people.csv --entity person")
    if len(paths) == 1 and stated == Stated() and not is_declared(entity):
        return paths[0], Path(entity)
    return mapped(paths, entity, stated)


def mapped(paths: Sequence[Path], entity: str, stated: Stated) -> tuple[Mapped, MatchRules]:
    """The sources that `paths` and the stated names are, and the rules by which they are matched.

    `entity` is a declared entity, or a file of rules. Raises ConfigError for names that two files share, for what names no column or
    source, and for a file without a column that can be matched, or without one of ids.
    """
    named = _named(paths, stated.names)
    rules = _rules(entity)
    columns = _columns(stated.columns, list(named), rules)
    apart = len(named) > 1 or bool(stated.names)
    sources = tuple(_source(name, path, rules, columns, apart) for name, path in named.items())
    columns.require_used(sources)
    return Mapped(sources, apart), _adapted(rules, sources, apart)


def is_declared(entity: str) -> bool:
    """Whether that is meant as the name of a declared entity: no path of a file."""
    return re.fullmatch(r"[a-z][a-z0-9_]*", entity) is not None and not Path(entity).is_file()


def _named(paths: Sequence[Path], stated: Sequence[str]) -> dict[str, Path]:
    pairs = [(_stem(file), file) for file in paths]
    for text in stated:
        name, equals, path = text.partition("=")
        if not equals or not path or not _NAME.fullmatch(name):
            raise ConfigError(f"--source {text} is no NAME=FILE", hint="Write it as --source crm=exports/people.csv; a name has no colon")
        pairs.append((name, Path(path)))
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for name, file in pairs:
        if file.resolve() in seen:
            raise ConfigError(f"{file} is there twice", hint="Name it once")
        if name in found:
            raise ConfigError(
                f"two files are source {name}: {found[name]} and {file}", hint=f"Give one a name of its own: --source OTHER={file}"
            )
        found[name] = file
        seen.add(file.resolve())
    return found


def _stem(path: Path) -> str:
    name = path.name[: len(inner_name(path))]
    stem = name if path.is_dir() else name.rpartition(".")[0] or name
    return re.sub(r"[:=]", "_", stem)


def _rules(entity: str) -> MatchRules:
    if not is_declared(entity):
        return load_match_rules(Path(entity))
    declared: Entity = load_entity(entity)
    if declared.matching is None:
        raise ConfigError(f"entity {entity} is not matched: it has no `matching`", hint="Name another one, or a file of rules")
    return MatchRules.model_validate({**_set(declared.matching), "entity": entity, "record_id": RECORD, "source": SOURCE})


def _set(model: object) -> dict[str, object]:
    fields: Mapping[str, object] = {name: getattr(model, name) for name in model.model_fields_set}  # type: ignore[attr-defined]
    return dict(fields)


def _columns(stated: Sequence[str], sources: Sequence[str], rules: MatchRules) -> _Columns:
    found = _Columns()
    known = [_ID, *rules.attributes, *([_WHOLE_NAME, _HOUSE])]
    for text in stated:
        target, equals, column = text.partition("=")
        source, dot, attribute = target.rpartition(".") if target.rpartition(".")[0] in sources else ("", "", target)
        if not equals or attribute not in known:
            raise ConfigError(
                f"--column {text} names no attribute{nearest(attribute, known)}",
                hint=f"Write it as --column SOURCE.ATTRIBUTE=COLUMN; sources are {', '.join(sources)}, attributes {', '.join(known)}",
            )
        found.stated[source if dot else "", attribute] = column
    return found


def _source(name: str, path: Path, rules: MatchRules, every: _Columns, apart: bool) -> Source:
    """A file as a source of its own, or, not `apart`, as the only one, which may have a column that tells where a record is from."""
    first = match_files.sample(path, SAMPLED)
    columns = [Column(column, first.column(column).to_pylist()) for column in first.column_names]
    there = {column.name: column for column in columns}
    stated = every.of(name, list(there))
    _require_there(name, path, stated, list(there))
    stated_columns = {attribute: column for attribute, column in stated.items() if attribute != _ID}
    kinds = {attribute: kind for attribute, kind in rules.attributes.items() if kind != "ignore" and attribute not in stated}
    taken = {*stated.values(), *([rules.record_id] if rules.record_id in there else [])}
    free = [column for column in columns if column.name not in taken]
    found = guessed(free, kinds)
    found |= _instead(free, rules, found, stated)
    found |= {attribute: column for attribute, column in stated_columns.items() if column}
    if not found:
        raise ConfigError(
            f"{path.name} has no column that can be matched (it has {_some(list(there))})",
            hint=f"Say which column holds what, such as --column {name}.{next(iter(rules.attributes))}=COLUMN",
        )
    record_id = stated.get(_ID) or (rules.record_id if rules.record_id in there else _id_column(name, path, columns, found))
    if not apart and rules.source in there:
        found[SOURCE] = str(rules.source)
    used = {record_id, *found.values()}
    order = dict.fromkeys(attribute for attribute in (*rules.attributes, _WHOLE_NAME, _HOUSE, SOURCE) if attribute in found)
    return Source(name, path, record_id, {at: found[at] for at in order}, tuple(at for at in there if at not in used))


def _require_there(name: str, path: Path, stated: Mapping[str, str], there: Sequence[str]) -> None:
    for attribute, column in stated.items():
        if column and column not in there:
            raise ConfigError(
                f"--column {name}.{attribute}={column}: {path.name} has no such column{nearest(column, list(there))}",
                hint=f"It has {_some(there)}",
            )


def _instead(free: Sequence[Column], rules: MatchRules, found: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    """A whole name where a file has it in place of its parts, a surname that is just called name, a house number beside a street."""
    left = [column for column in free if column.name not in found.values()]
    by_kind = {kind: attribute for attribute, kind in reversed(rules.attributes.items())}
    more: dict[str, str] = {}
    if "forename" in by_kind and "surname" in by_kind and "full_name" not in by_kind:
        fore, sur = by_kind["forename"] in found, by_kind["surname"] in found
        if fore and not sur and by_kind["surname"] not in stated:
            called_name = next((column.name for column in left if plain(column.name) == "name"), None)
            more = {by_kind["surname"]: called_name} if called_name else {}
        elif not fore and not sur and not {by_kind["forename"], by_kind["surname"]} & set(stated) and _WHOLE_NAME not in stated:
            more = guessed(left, {_WHOLE_NAME: "full_name"})
    if "street" in by_kind and by_kind["street"] in found and "house_number" not in by_kind and _HOUSE not in stated:
        more |= guessed(left, {_HOUSE: "house_number"})
    return more


def _id_column(name: str, path: Path, columns: Sequence[Column], found: Mapping[str, str]) -> str:
    likely = likely_ids(columns, found.values(), name)
    for column in likely:
        values = match_files.read_columns(path, [column]).column(0)
        kept = values.drop_null()
        if len(kept) and len(kept.unique()) == len(kept):
            return column
    near = f"{likely[0]} repeats" if likely else f"it has {_some([column.name for column in columns])}"
    raise ConfigError(
        f"{path.name} has no column of ids that differ in every row ({near})",
        hint=f"Name it: --column {name}.record_id=COLUMN, or give the file one",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _adapted(rules: MatchRules, sources: Sequence[Source], apart: bool) -> MatchRules:
    """The rules for the attributes that any source has, and for those that were found besides."""
    there = {attribute for source in sources for attribute in source.columns}
    extra = {_WHOLE_NAME: "full_name", _HOUSE: "house_number"}
    attributes = {name: kind for name, kind in rules.attributes.items() if name in there}
    every = dict(rules.attributes) | {name: kind for name, kind in extra.items() if name in there}
    needed = apart or SOURCE in there or rules.link == "across_sources"
    common = {**_set(rules), "record_id": RECORD, "source": SOURCE if needed else None}
    common.pop("survivorship", None)
    try:
        return MatchRules.model_validate({**common, "attributes": attributes | {name: every[name] for name in extra if name in there}})
    except ValidationError:  # stated rules speak of attributes that no source has
        return MatchRules.model_validate({**common, "attributes": every})
