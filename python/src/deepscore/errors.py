"""The errors of DeepScore: a small tree, each error with a stable code.

The codes are part of the interface: the R package turns each of them into a condition of class
``deepscore_error_<code>``, and the shared tests of both languages expect the same code for the same input.
"""

from __future__ import annotations

from typing import Self

__all__ = ["ConfigError", "DeepScoreError", "EngineError", "InputError", "ModelFileError", "excerpt", "printable"]

LONGEST = 2000  # characters of a message


def printable(text: str, most: int | None = None) -> str:
    """Return text that a terminal shows and does not obey: control characters as their escapes.

    Names and lines of files are other people's. New lines and tabs stay. Of more than `most` characters the middle is
    left out: what is wrong is said at the beginning, and what to do at the end.
    """
    if most is not None and len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)


def excerpt(value: object, most: int = 80) -> str:
    """Return the beginning of a name, or of a line of a file, in one line of what can be shown."""
    if isinstance(value, bytes):
        value = value[: most + 1].decode(errors="backslashreplace")
    text = str(value)
    shown = printable(text[:most]).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(text) <= most else f"{shown}..."


class DeepScoreError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    code
        Stable, lower-case name of what is wrong, such as ``"labels_length"``.
    message
        What was expected, what came, and what to do next; see :func:`printable`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(printable(message, LONGEST))
        self.code = code

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Let errors come back from other processes."""
        return type(self), (self.code, str(self))


class InputError(DeepScoreError, ValueError):
    """The data, the labels or the state of the call are not usable as they are."""


class ConfigError(DeepScoreError, ValueError):
    """An argument has a value that makes no sense."""


class ModelFileError(DeepScoreError):
    """A model file cannot be read, trusted or written."""


class EngineError(DeepScoreError):
    """Something the computation needs is missing or of the wrong version."""
