"""An error says what happened, where, and what to do; and survives the way through a job's result file."""

import ast
import pickle
import re

import pytest

from spine.core import errors
from spine.core.settings import PROJECT

KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.SpineError)}
PROMISE = re.compile(r"\b(is|are|be) (tried|done|repeated|run) again\b|\bretries\b|\bwill (re)?try\b|\bretried\b", re.IGNORECASE)


def test_the_message_has_code_facts_and_advice() -> None:
    error = errors.RateLimited("the limit is used up", hint="Wait", retry_after=30, connection="ipai_connector_x", page=3, row=None)
    assert str(error) == "[CONNECTOR_RATE_LIMITED] the limit is used up (connection=ipai_connector_x, page=3). Wait"


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (errors.AuthFailed, "CONNECTOR_AUTH_FAILED", 401),
        (errors.RateLimited, "CONNECTOR_RATE_LIMITED", 429),
        (errors.SyncInProgress, "SYNC_IN_PROGRESS", 409),
        (errors.SchemaMismatch, "SCHEMA_MISMATCH", 422),
        (errors.FileRefused, "FILE_REFUSED", 422),
        (errors.IdentityConflict, "IDENTITY_CONFLICT", 409),
    ],
)
def test_the_five_published_codes(kind: type[errors.SpineError], code: str, status: int) -> None:
    assert (kind.code, kind.http_status) == (code, status)


@pytest.mark.parametrize("kind", [errors.AuthFailed, errors.QualityFailed, errors.SourceUnavailable, errors.ConfigError])
def test_an_error_comes_back_as_its_own_class(kind: type[errors.SpineError]) -> None:
    error = kind("what", hint="do", retry_after=2.5, stream="contacts")
    for copy in (errors.error_from_dict(error.as_dict()), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert type(copy) is kind
        assert str(copy) == str(error)
        assert copy.retry_after == 2.5


def test_an_unknown_code_is_not_swallowed() -> None:
    assert isinstance(errors.error_from_dict({"code": "NEW", "message": "?"}), errors.JobFailed)


def test_codes_are_unique() -> None:
    def walk(kind: type[errors.SpineError]) -> list[str]:
        return [kind.code, *(code for child in kind.__subclasses__() if child.__module__ == errors.__name__ for code in walk(child))]

    codes = walk(errors.SpineError)
    assert len(codes) == len(set(codes))


def test_no_message_promises_that_something_is_tried_again() -> None:
    """Only who catches an error knows: a task that has tries left, or a person at a command, for whom nothing does it."""
    said = []
    for path in (PROJECT / "include" / "spine").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS:
                texts = [word.value for word in ast.walk(node) if isinstance(word, ast.Constant) and isinstance(word.value, str)]
                said += [f"{path.name}: {text}" for text in texts if PROMISE.search(text)]
    assert said == []


def test_what_a_source_did_not_answer_has_a_hint_of_its_own_or_the_usual_one() -> None:
    assert "status page" in errors.SourceUnavailable("no answer").describe()
    assert errors.SourceUnavailable("no answer", hint="Look at the storage").describe().endswith("no answer. Look at the storage")


def test_a_line_is_one_and_says_what_happens_next() -> None:
    error = errors.LakeError("the table\n is busy", hint="Wait", table="t")
    assert error.line() == "[LAKE_FAILED] the table is busy (table=t). Wait"
    assert error.line("Run it again") == "[LAKE_FAILED] the table is busy (table=t). Wait. Run it again"
