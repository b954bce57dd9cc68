from __future__ import annotations

import copy

import pytest

from deepscore import errors

KINDS = [errors.InputError, errors.ConfigError, errors.ModelFileError, errors.EngineError]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_carries_its_code_and_message(kind):
    error = kind("some_code", "What to do next.")
    assert isinstance(error, errors.DeepScoreError)
    assert error.code == "some_code"
    assert str(error) == "What to do next."


def test_bad_values_are_value_errors():
    assert [issubclass(kind, ValueError) for kind in KINDS] == [True, True, False, False]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_from_another_process(kind):
    error = copy.copy(kind("some_code", "What to do next."))  # made anew as after a journey
    assert (type(error), error.code, str(error)) == (kind, "some_code", "What to do next.")
