"""No task lets an error out whose text may quote a record or a secret: Airflow logs it whole, and every error behind it as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowException

from spine.core.errors import SpineError
from spine.core.foreign import frames_of, unforeseen
from spine.core.screen import logger

P = ParamSpec("P")
T = TypeVar("T")
_log = logger(__name__)


def quiet(work: Callable[P, T]) -> Callable[P, T]:
    """`work` whose errors are ours, each alone: where they came from goes to the log, the texts of errors of others go nowhere.

    Airflow's own exceptions, by which a task is skipped or put off, pass.
    """

    @wraps(work)
    def done(*args: Any, **kwargs: Any) -> Any:
        try:
            return work(*args, **kwargs)
        except AirflowException:
            raise
        except SpineError as error:
            if error.__cause__ is not None:
                _log.info("behind it: %s", frames_of(error.__cause__))
            error.__context__ = None  # `from None` hides it, and tools look past that
            raise error from None
        except Exception as error:
            _log.error("%s", frames_of(error))
            found = unforeseen(error)
        raise found

    return done
