"""Nothing that a vendor, a file or a tenant sends moves a terminal's cursor or turns a line around."""

from __future__ import annotations

import ast
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from spine.core.screen import clean, console, logger, say
from spine.core.settings import PROJECT

HOSTILE = "a\x1b[2Jb\x9bc\u202ed\u2066e\x07f\rg\x00h\x7fi\u200fj\ud800"


def obeyed(text: str) -> list[str]:
    return [letter for letter in text if letter not in "\n\t" and (not letter.isprintable() and letter not in "\u200d\u00ad ")]


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert clean(HOSTILE) == ("a\\u001b[2Jb\\u009bc\\u202ed\\u2066e\\u0007f\\u000dg\\u0000h\\u007fi\\u200fj\\ud800")
    assert clean("Zoë Đặng 山田 \N{WOMAN}\u200d\N{ROCKET}\tx\n") == "Zoë Đặng 山田 \N{WOMAN}\u200d\N{ROCKET}\tx\n"


@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_the_same_json(value: dict[str, str]) -> None:
    written = json.dumps(value, ensure_ascii=False)
    assert json.loads(clean(written)) == value
    assert not set(clean(written)) & set("\x1b\x9b\u202a\u202e\u2066\r\x7f")


def test_tables_and_lines_are_cleaned_and_keep_their_own_colours(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=Text(HOSTILE[:-1]))
    table.add_column("x")
    table.add_row(Text(HOSTILE[:-1], "bold"))
    console(force_terminal=True, width=200).print(table, Text(HOSTILE[:-1]), HOSTILE[:-1], markup=False)
    say(HOSTILE)
    say(HOSTILE, err=True)
    shown, errors = capsys.readouterr()
    assert "\x1b[1m" in shown, "rich's own style"
    assert "\x1b[2J" not in shown + errors
    assert not set(shown + errors) & set("\x9b\u202e\u2066\x07\r\x00\x7f\u200f")


def test_a_log_line_is_cleaned_and_a_value_cannot_forge_another(caplog: pytest.LogCaptureFixture) -> None:
    logger("spine.test").warning("fields: %s", "a\x1b[31m\nERROR forged")
    assert caplog.messages == ["fields: a\\u001b[31m\n  ERROR forged"]
    assert caplog.records[0].filename == "test_screen.py"


_PRINTS = ("typer.echo", "click.echo", "print", "Console", "sys.stdout.write", "logging.getLogger")
# The first three silence a library.
_OTHERS = ("cli/match.py: logging.getLogger", "control/embedded.py: logging.getLogger", "http/line.py: logging.getLogger", "core/screen.py")


def test_there_is_one_way_to_print_and_one_to_log() -> None:
    package = PROJECT / "include" / "spine"
    found = []
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in _PRINTS:
                found.append(f"{name}: {called}")
    assert [one for one in found if not one.startswith((*_OTHERS, "sandbox/"))] == []


def test_the_standard_library_logs_as_before(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger("spine.test").info("100% of %(x)s as it is")
    assert caplog.messages == ["100% of %(x)s as it is"]
