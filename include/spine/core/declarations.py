"""Reads a YAML declaration into its model; every mistake is reported at once, with file, line, field and the nearest right word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from spine.core.errors import ConfigError, Mistake
from spine.core.texts import nearest

Model = TypeVar("Model", bound=BaseModel)
Place: TypeAlias = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTED = re.compile(r"'([^']*)'")


class Strict(BaseModel):
    """A declaration in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def refuse(model: type[BaseModel], found: Iterable[tuple[Place, str]]) -> None:
    """Raise what a validator of `model` has found wrong at places inside it; nothing if there is nothing."""
    details = [InitErrorDetails(type=PydanticCustomError("declared", "{why}", {"why": why}), loc=at, input=None) for at, why in found]
    if details:
        raise ValidationError.from_exception_data(model.__name__, details)


def load_declaration(path: Path, model: type[Model]) -> Model:
    """The validated content of a YAML file. Raises ConfigError."""
    root, data = _read(path)
    found = [_mistake_at(path, root, (*at, key), "is written twice; the last one would win") for at, key in _twice(root)]
    try:
        declared = model.model_validate(data)
    except ValidationError as error:
        found += _mistakes(path, root, model, error)
    except Exception as error:
        # Whatever a value does to a validator, it is that file's own affair.
        found.append(Mistake(str(path), 1, "(whole file)", f"cannot be understood: {type(error).__name__}: {error}"))
    if found:
        raise ConfigError.of(sorted(found, key=lambda mistake: mistake.line))
    return declared


def located(path: Path, found: Iterable[tuple[Place, str]]) -> list[Mistake]:
    """Mistakes at places of a file that can be read, with their lines."""
    places = list(found)
    root = _read(path)[0] if places else None
    return [_mistake_at(path, root, at, why) for at, why in places]


def _read(path: Path) -> tuple[yaml.Node | None, Any]:
    """A file as YAML's nodes, which know their lines, and as values. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.of([Mistake(str(path), 1, "", f"cannot be read: {error}")]) from error
    try:
        loader = _LOADER(text)  # a safe loader, whichever of the two it is
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError.of([Mistake(str(path), line, "", f"not YAML: {problem}")]) from error
    except (ValueError, OverflowError, RecursionError) as error:  # a number or date that is none, written without quotes
        raise ConfigError.of([Mistake(str(path), _line_of(root), "", f"a value is none: {error}")]) from error


def _line_of(root: yaml.Node | None) -> int:
    """The line of the first value that cannot be one."""
    for node in _nodes(root):
        if isinstance(node, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_object(node)
            except Exception:
                return int(node.start_mark.line) + 1
    return 1


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Every node once, in the file's order."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting.extend(reversed([part for pair in node.value for part in pair]))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))


def _twice(root: yaml.Node | None) -> Iterator[tuple[Place, str]]:
    """Keys that a map has more than once: the way to the map, and the key. YAML itself would keep the last one and say nothing."""
    seen_nodes: set[int] = set()  # an anchor may stand in many places, and inside itself
    waiting: list[tuple[yaml.Node | None, Place]] = [(root, ())]
    while waiting:
        node, at = waiting.pop()
        if node is None or id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        yield at, key.value
                    seen.add(key.value)
                    waiting.append((value, (*at, key.value)))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend((part, (*at, number)) for number, part in enumerate(node.value))


def _mistakes(path: Path, root: yaml.Node | None, model: type[BaseModel], error: ValidationError) -> list[Mistake]:
    """The mistakes of a file. A word that is only misspelt does not count as missing as well, nor a list as empty whose items are wrong."""
    items = error.errors()
    holders = {item["loc"][:depth] for item in items for depth in range(len(item["loc"]))}
    meant: set[Place] = set()
    found = []
    for item in items:
        if item["type"] == "extra_forbidden":
            *holder, word = item["loc"]
            near = nearest(word, words_at(model, tuple(holder)))
            meant.add((*holder, *_QUOTED.findall(near)))
            item["msg"] += near
    for item in items:
        if item["loc"] in holders or (item["type"] == "missing" and item["loc"] in meant):
            continue
        found.append(_mistake(path, root, item))
    return list(dict.fromkeys(found))


def _mistake(path: Path, root: yaml.Node | None, item: Any) -> Mistake:
    location, message = item["loc"], item["msg"].removeprefix("Value error, ")
    context = item.get("ctx") or {}
    if item["type"] == "union_tag_invalid":  # the word that tells the kinds of a declaration apart is not one of theirs
        location = (*location, context["discriminator"].strip("'"))
        message = f"Input should be one of {context['expected_tags']}{nearest(context['tag'], _QUOTED.findall(context['expected_tags']))}"
    elif item["type"] in ("literal_error", "unknown_word"):
        message += nearest(item["input"], _QUOTED.findall(message))
    return _mistake_at(path, root, location, message)


def _mistake_at(path: Path, root: yaml.Node | None, location: Place, what: str) -> Mistake:
    line, place = _found(root, location)
    return Mistake(str(path), line, ".".join(place) or "(whole file)", what)


def words_at(model: type[BaseModel], place: Place) -> list[str]:
    """The words that a declaration may have at a place, as far as its model says; of several kinds all of theirs."""
    options: list[Any] = [model]
    for part in place:
        options = [inner for option in options for inner in _below(option, part)]
    return [field.alias or name for option in options if _is_model(option) for name, field in option.model_fields.items()]


def _below(option: Any, part: str | int) -> list[Any]:
    """What may stand at `part` of a model, list or map; the step from a choice to one of its kinds leads to that kind."""
    if _is_model(option):
        field = next((field for name, field in option.model_fields.items() if part in (name, field.alias)), None)
        if field is not None:
            return _options(field.annotation)
        tag = option.model_fields.get("type")
        return [option] if tag is not None and part in get_args(tag.annotation) else []
    inner = get_args(option)
    return _options(inner[-1] if get_origin(option) is dict else inner[0]) if inner else []


def _options(annotation: Any) -> list[Any]:
    """The types that an annotation stands for, without what is said about them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (dict, list, tuple) or _is_model(annotation):
        return [annotation]
    return [option for inner in get_args(annotation) for option in _options(inner)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _found(node: yaml.Node | None, location: Place) -> tuple[int, list[str]]:
    """The line of the deepest node on the way to `location` that the file really has, and the way without steps that it cannot have."""
    line, place = 1 if node is None else node.start_mark.line + 1, []
    for number, part in enumerate(location, start=1):
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                if number == len(location):
                    place.append(str(part))  # the missing key itself
                continue  # else a step that pydantic adds: the kind of a declaration that has several
            line, node = pairs[-1][0].start_mark.line + 1, pairs[-1][1]  # of a key that stands twice, the one that would win
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        place.append(str(part))
    return line, place
