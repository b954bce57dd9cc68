"""The errors of DeepScore: a small tree, each error with a stable code.

The codes are part of the interface: the R package turns each of them into a condition of class
``deepscore_error_<code>``, and the shared tests of both languages expect the same code for the same input.
"""

from __future__ import annotations

from typing import Self

__all__ = ["ConfigError", "DeepScoreError", "EngineError", "InputError", "ModelFileError"]


class DeepScoreError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    code
        Stable, lower-case name of what is wrong, such as ``"labels_length"``.
    message
        What was expected, what came, and what to do next.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
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
