"""Kinds of a declaration are classes in the files of a package: found whatever they derive from, and strict about their own words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from spine.core.declarations import Strict
from spine.core.errors import ConfigError
from spine.core.variants import FirstVersion, Variants, words

BASE = """
from spine.core.declarations import Strict

class Shape(Strict):
    type: str
    size: int = 1
"""
ROUND = """
from typing import Literal
from {package}.base import Shape

class Round(Shape):
    type: Literal["round", "circle"] = "round"
    radius: int = 2
"""
OVAL = """
from typing import Literal
from {package}.round import Round

class Oval(Round):
    type: Literal["oval"] = "oval"
    height: int = 3
"""
ANGLED = """
from abc import ABC, abstractmethod
from typing import Literal
from {package}.base import Shape

class Angled(Shape):
    corners: int = 0

class Drawn(Angled, ABC):
    type: Literal["drawn"] = "drawn"

    @abstractmethod
    def draw(self): ...

class Square(Drawn):
    type: Literal["square"] = "square"

    def draw(self):
        return "#"
"""
Made = Callable[..., Variants[Any]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """The variants of a package with these files, whose base is `Shape` in the first of them."""
    package = f"shapes_{uuid4().hex}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def make(first: FirstVersion | None = None, **files: str) -> Variants[Any]:
        for name, text in {"base": BASE, **files}.items():
            (folder / f"{name}.py").write_text(text.format(package=package))
        base = __import__(f"{package}.base", fromlist=["Shape"]).Shape
        return Variants(base, package, "round", *([first] if first else []))

    yield make
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


def names(variants: Variants[Any]) -> list[str]:
    return [kind.__name__ for kind in variants.classes()]


def test_a_kind_that_derives_from_another_kind_is_found_as_well(made: Made) -> None:
    variants = made(round=ROUND, oval=OVAL)
    assert names(variants) == ["Oval", "Round"]
    oval = variants.parse(type="oval", radius=5)
    assert (type(oval).__name__, oval.radius, oval.height) == ("Oval", 5, 3)
    assert type(variants.parse(type="round")).__name__ == "Round"


def test_what_kinds_only_derive_from_is_none(made: Made) -> None:
    assert names(made(round=ROUND, angled=ANGLED)) == ["Round", "Square"]


def test_a_class_outside_of_the_package_is_none(made: Made) -> None:
    variants = made(round=ROUND)
    elsewhere = type("Elsewhere", (variants.classes()[0],), {"__module__": f"{variants.classes()[0].__module__.split('.')[0]}_too"})
    assert issubclass(elsewhere, Strict)
    assert names(variants) == ["Round"]


def test_a_word_belongs_to_one_kind(made: Made) -> None:
    same = OVAL.replace('    type: Literal["oval"] = "oval"\n', "")
    with pytest.raises(ValueError, match=r"Oval and Round both have `type: round`"):
        made(round=ROUND, oval=same).choice()


def test_a_kind_has_a_name_and_older_words(made: Made) -> None:
    variants = made(round=ROUND)
    assert words(variants.classes()[0]) == ("round", "circle")
    assert variants.parse(type="circle").type == "circle"
    assert variants.parse(radius=4).radius == 4, "without a type the default is meant"


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        ({"type": "ruond"}, "union_tag_invalid"),
        ({"type": "round", "colour": 1}, "extra_forbidden"),
        ({"type": ["round"]}, "union_tag_invalid"),
    ],
)
def test_what_no_kind_says_is_a_mistake(made: Made, content: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError) as caught:
        made(round=ROUND, oval=OVAL).parse(**content)
    assert [found["type"] for found in caught.value.errors()] == [mistake]


class TestFilesOfTheFirstVersion:
    """Its kinds all had the same words; a kind that came later never had those of others."""

    FIRST = FirstVersion(kinds=frozenset({"round"}), words=frozenset({"height", "corners"}))

    def test_a_kind_of_then_passes_over_words_that_it_does_not_read(self, made: Made) -> None:
        variants = made(self.FIRST, round=ROUND, oval=OVAL)
        assert variants.parse(type="round", corners=4).size == 1
        assert variants.parse(type="circle", corners=4).size == 1, "by its other word too"
        with pytest.raises(ValidationError, match="colour"):
            variants.parse(type="round", colour=4)

    def test_a_later_kind_refuses_them(self, made: Made) -> None:
        variants = made(self.FIRST, round=ROUND, oval=OVAL)
        assert variants.parse(type="oval", height=4).height == 4
        with pytest.raises(ValidationError, match="corners"):
            variants.parse(type="oval", corners=4)

    def test_a_declaration_that_is_no_map_is_left_to_the_model(self, made: Made) -> None:
        from pydantic import TypeAdapter

        with pytest.raises(ValidationError, match="dictionary") as caught:
            TypeAdapter(made(self.FIRST, round=ROUND, oval=OVAL).choice()).validate_python("round")
        assert [found["input"] for found in caught.value.errors()] == ["round"]


def test_a_mistake_in_a_file_names_the_word_that_the_kind_has(made: Made, tmp_path: Path) -> None:
    from pydantic import create_model

    from spine.core.declarations import load_declaration

    variants = made(TestFilesOfTheFirstVersion.FIRST, round=ROUND, oval=OVAL)
    model = create_model("Drawing", __base__=Strict, shape=(variants.choice(), ...))
    path = tmp_path / "drawing.yaml"
    path.write_text("shape:\n  type: oval\n  hieght: 3\n  corners: 4\n")
    with pytest.raises(ConfigError) as caught:
        load_declaration(path, model)
    told = {(mistake.line, mistake.field): mistake.what for mistake in caught.value.mistakes}
    assert set(told) == {(3, "shape.hieght"), (4, "shape.corners")}
    assert "did you mean 'height'?" in told[3, "shape.hieght"]
