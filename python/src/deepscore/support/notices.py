"""What users are told: log lines, and warnings at the line of theirs that called the package."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from ..errors import LONGEST, printable

__all__ = ["logger", "said", "speaking", "warn"]

logger = logging.getLogger("deepscore")

_language: ContextVar[Literal["python", "r"]] = ContextVar("language", default="python")


@contextmanager
def speaking(language: Literal["python", "r"]) -> Iterator[None]:
    """Tell :func:`said` in which language the user has called the package."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


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
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(message, LONGEST), UserWarning, stacklevel=level)
