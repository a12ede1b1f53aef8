"""Reads a YAML declaration into its model; every mistake is reported at once, with file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from spine.core.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Strict(BaseModel):
    """A declaration in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def load_declaration(path: Path, model: type[Model]) -> Model:
    """The validated content of a YAML file.

    Raises ConfigError that lists each mistake as `file:line: field: what is wrong`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", file=str(path)) from error
    try:
        data = yaml.load(text, Loader=_LOADER)  # a safe loader, whichever of the two it is
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}:{line}: not YAML: {problem}", file=str(path), line=line) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        root = yaml.compose(text, Loader=_LOADER)
        mistakes = [_mistake(path, root, item) for item in error.errors()]
        raise ConfigError("; ".join(mistakes), file=str(path), hint="Correct the file; no other source is affected") from None


def _mistake(path: Path, root: yaml.Node | None, item: Any) -> str:
    location, message = item["loc"], item["msg"]
    if item["type"] == "union_tag_invalid":  # the word that tells the kinds of a declaration apart is not one of theirs
        location = (*location, item["ctx"]["discriminator"].strip("'"))
        message = f"Input should be one of {item['ctx']['expected_tags']}"
    line, place = _found(root, location)
    return f"{path}:{line}: {'.'.join(place) or '(whole file)'}: {message}"


def _found(node: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int, list[str]]:
    """The line of the deepest node on the way to `location` that the file really has, and the way without steps that it cannot have."""
    line, place = 1 if node is None else node.start_mark.line + 1, []
    for number, part in enumerate(location, start=1):
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                if number == len(location):
                    place.append(str(part))  # the missing key itself
                continue  # else a step that pydantic adds: the kind of a declaration that has several
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        place.append(str(part))
    return line, place
