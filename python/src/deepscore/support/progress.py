"""Progress bars: on anything that takes long, where somebody can watch it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

from .checks import flag

__all__ = ["progress_bar", "progress_shown"]

# Seconds: what is done sooner shows no bar.
DELAY = 2
_wanted: ContextVar[bool] = ContextVar("_wanted", default=True)


@contextmanager
def progress_shown(wanted: bool) -> Iterator[None]:
    """Show progress within the block, or do not; what was switched off around the block stays off.

    Raises
    ------
    ConfigError
        ``bad_argument`` where it is not True or False.
    """
    before = _wanted.set(flag("progress", wanted) and _wanted.get())
    try:
        yield
    finally:
        _wanted.reset(before)


def progress_bar(total: int | None, what: str, unit: str, **options: Any) -> tqdm[Any]:
    """Return a bar, which shows nothing where it is not wanted or would fill a log.

    The variable ``TQDM_DISABLE`` switches all bars off, as it does elsewhere, whatever a call asks for.
    """
    wanted = _wanted.get() and os.environ.get("TQDM_DISABLE", "0").lower() in ("", "0", "false") and _is_watched()
    return tqdm(total=total, desc=what, unit=unit, disable=not wanted, **({"delay": DELAY} | options))


def _is_watched() -> bool:
    """Tell whether standard error is a terminal or a notebook, which redraw a line; a log adds one line each time."""
    stream: Any = sys.stderr
    return stream is not None and (stream.isatty() or type(stream).__module__.startswith("ipykernel"))
