"""An error says what happened, where, and what to do; and survives the way through a job's result file."""

import pickle

import pytest

from spine.core import errors


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
