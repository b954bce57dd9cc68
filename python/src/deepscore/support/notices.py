"""What users are told: log lines, and warnings at the line of theirs that called the package."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

__all__ = ["logger", "warn"]

logger = logging.getLogger("deepscore")

PACKAGE = str(Path(__file__).parents[1])


def warn(message: str) -> None:
    """Warn at the first line outside the package in the stack of calls, as ``skip_file_prefixes`` of Python 3.12."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
