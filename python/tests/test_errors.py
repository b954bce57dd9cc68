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


def test_a_message_cannot_command_a_terminal_nor_fill_it():
    error = errors.InputError("some_code", "Labels: \x1b[2J\x9b1m\u202e, \u03b2 cell.\n\tNext line.\r\x07\0\ud800")
    assert str(error) == "Labels: \\x1b[2J\\x9b1m\\u202e, \u03b2 cell.\n\tNext line.\\r\\x07\\x00\\ud800"
    long = str(errors.InputError("some_code", "What is wrong: " + "x" * 10**6 + " What to do."))
    assert len(long) < 2100
    assert long.startswith("What is wrong: xx")
    assert long.endswith("xx What to do.")
    again = copy.copy(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("chr1", "chr1"),
        ("a\tb\n", "a\\tb\\n"),
        (b"a\xff\x1b\t", "a\\xff\\x1b\\t"),
        ("x" * 81, "x" * 80 + "..."),
        (b"x" * 10**6, "x" * 80 + "..."),
        ("x" * 80, "x" * 80),
        (7, "7"),
    ],
)
def test_an_excerpt_is_short_and_of_one_line(value, shown):
    assert errors.excerpt(value) == shown
