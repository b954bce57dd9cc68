from __future__ import annotations

from dataclasses import dataclass

import pytest

from deepscore.errors import ConfigError
from deepscore.support.checks import choice, flag, keep, made, number, optional, optional_name, path_like, whole


@dataclass(frozen=True, kw_only=True)
class Request:
    size: int = 3

    def __post_init__(self):
        keep(self, size=whole("size", self.size, 1))


def test_a_request_is_made_of_the_arguments_that_it_has():
    assert made(Request, {}) == Request(size=3)
    assert made(Request, {"size": 7.0}).size == 7
    with pytest.raises(ConfigError, match="'sizes'") as caught:
        made(Request, {"sizes": 7})
    assert caught.value.code == "bad_argument"


@pytest.mark.parametrize(
    "check",
    [
        lambda: whole("x", 0, 1),
        lambda: whole("x", 2.5, 1),
        lambda: whole("x", True, 0),
        lambda: number("x", 1.5, 0, 1),
        lambda: number("x", float("nan"), 0),
        lambda: optional(whole, "x", 0, 1),
        lambda: flag("x", 1),
        lambda: choice("x", "c", ("a", "b")),
        lambda: optional_name("x", 3),
        lambda: path_like("x", 3),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(check):
    with pytest.raises(ConfigError, match="^x must be") as caught:
        check()
    assert caught.value.code == "bad_argument"


def test_what_makes_sense_comes_back():
    assert optional(whole, "x", None, 1) is None
    assert optional_name("x", None) is None
    assert (number("x", 1, 0, 1), choice("x", "a", ("a", "b")), str(path_like("x", "y"))) == (1.0, "a", "y")
