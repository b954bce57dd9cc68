"""What users are told: log lines, and warnings at the line of theirs that called the package."""

from __future__ import annotations

import functools
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from ..errors import LONGEST, printable

__all__ = ["logger", "said", "speaking", "telling_once", "warn"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
logger = logging.getLogger("deepscore")

_language: ContextVar[Literal["python", "r"]] = ContextVar("language", default="python")
_told: ContextVar[set[str] | None] = ContextVar("told", default=None)  # warnings of the call of a verb


@contextmanager
def speaking(language: Literal["python", "r"]) -> Iterator[None]:
    """Tell :func:`said` in which language the user has called the package."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def telling_once(verb: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Give each warning once in a call of this function, whatever it calls.

    Several steps of a verb may find the same, and several data sets may call for the same words.
    """

    @functools.wraps(verb)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if _told.get() is not None:
            return verb(*args, **kwargs)
        before = _told.set(set())
        try:
            return verb(*args, **kwargs)
        finally:
            _told.reset(before)

    return call


def said(*, python: str, r: str) -> str:
    """Return that part of a message which is not the same in both languages: what is to be typed."""
    return r if _language.get() == "r" else python


def _shown(record: logging.LogRecord) -> bool:
    """Make the text of a log line, which may hold names of others, one that a terminal shows and does not obey."""
    record.msg, record.args = printable(record.getMessage(), LONGEST), ()
    return True


logger.addFilter(_shown)

PACKAGE = str(Path(__file__).parents[1])


def warn(message: str) -> None:
    """Warn at the first line outside the package in the stack of calls, as ``skip_file_prefixes`` of Python 3.12."""
    told = _told.get()
    if told is not None:
        if message in told:
            return
        told.add(message)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(message, LONGEST), UserWarning, stacklevel=level)
