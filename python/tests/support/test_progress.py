"""Bars are drawn where somebody watches, and nowhere else."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from deepscore.errors import ConfigError
from deepscore.support.progress import progress_bar, progress_shown


@pytest.fixture
def screen(capsys, monkeypatch) -> Callable[[], str]:
    """Make standard error a terminal; return what tells all that it has shown since it was asked last."""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: True)
    return lambda: capsys.readouterr().err


def draw(what: str = "cells", **options: object) -> None:
    with progress_bar(3, what, "cell", delay=0, **options) as bar:
        for _ in range(3):
            bar.update()


def test_a_terminal_shows_how_far_it_is(screen):
    draw()
    shown = screen()
    assert "cells: 100%" in shown
    assert "3/3" in shown


def test_what_is_done_at_once_shows_no_bar(screen):
    for _ in progress_bar(3, "cells", "cell", iterable=range(3)):
        pass
    assert screen() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_log_shows_nothing(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    draw()
    assert stream is None or stream.getvalue() == ""


def test_a_notebook_is_watched(monkeypatch):
    class OutStream(io.StringIO):  # what Jupyter puts in the place of standard error is no terminal
        __module__ = "ipykernel.iostream"

    monkeypatch.setattr(sys, "stderr", OutStream())
    draw()
    assert "3/3" in sys.stderr.getvalue()


@pytest.mark.parametrize(("value", "shown"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_the_variable_of_tqdm_switches_bars_off(screen, monkeypatch, value, shown):
    monkeypatch.setenv("TQDM_DISABLE", value)  # long after tqdm was imported
    with progress_shown(True):
        draw()
    assert ("3/3" in screen()) == shown


def test_what_is_switched_off_around_a_block_stays_off(screen):
    with progress_shown(False):
        draw("outer")
        with progress_shown(True):
            draw("inner")
    with progress_shown(True), progress_shown(False):
        draw("innermost")
    assert screen() == ""
    draw("after")
    assert "after: 100%" in screen()


def test_progress_is_true_or_false(screen):
    with (
        pytest.raises(ConfigError, match="progress must be True or False, not 'often'") as caught,
        progress_shown("often"),
    ):
        pass
    assert caught.value.code == "bad_argument"
    draw()
    assert "3/3" in screen()
