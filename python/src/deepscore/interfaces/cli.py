"""The command line: ``deepscore COMMAND``; each command converts, calls a workflow and converts back."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click
from click.shell_completion import shell_complete

from ..errors import DeepScoreError, printable
from ..training.team import first_to_fail
from ..version import CREATED_WITH
from .commands import about, chromatin, transfer
from .commands.about import COMPLETE
from .commands.markers import markers
from .commands.report import report
from .commands.verb import DEBUG, Verbs

__all__ = ["main"]


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(CREATED_WITH, message="%(version)s")
def deepscore() -> None:
    """Label transfer for single-cell data."""


for command in (
    transfer.check,
    transfer.features,
    transfer.train,
    transfer.annotate,
    report,
    markers,
    chromatin.bridge,
    chromatin.activity,
    chromatin.peaks,
    chromatin.embed,
    about.inspect,
    about.doctor,
    about.completion,
):
    deepscore.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 1 after an error that is printed with its code.

    Raises
    ------
    SystemExit
        After help, with 0; where the command is not used as its help says, with 2.
    """
    _require_streams()
    if asked := os.environ.get(COMPLETE):
        raise SystemExit(shell_complete(deepscore, {}, "deepscore", COMPLETE, asked))
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(capture=True)
    warnings.formatwarning = lambda message, *where: f"warning: {message}"
    told = {}
    try:
        with (
            _stopped_by_signals(),
            deepscore.make_context("deepscore", list(sys.argv[1:] if argv is None else argv)) as context,
        ):
            told = context.meta
            deepscore.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as left:
        if left.exit_code:
            return left.exit_code
        raise SystemExit(0) from None
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        print(printable(usage.getvalue()), end="", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # whoever reads the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        return 1
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        if not first_to_fail():  # torchrun ends the other processes
            return 128 + number
        print(f"deepscore: stopped ({signal.Signals(number).name}); no output was changed [stopped]", file=sys.stderr)
        return 128 + number
    except Exception as error:
        if not first_to_fail():
            return 1
        if told.get(DEBUG):
            print(printable(traceback.format_exc()), end="", file=sys.stderr)
        print(printable(f"deepscore: {_line(error)}"), file=sys.stderr)
        return 1
    return 0


def _line(error: Exception) -> str:
    """Return what is said of an error, with its code."""
    if isinstance(error, (DeepScoreError, OSError)):
        return f"{error} [{getattr(error, 'code', 'os_error')}]"
    return (
        f"{type(error).__name__}: {error}. This should not be: please report it, with what --debug prints. [unexpected]"
    )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what was half written is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_streams() -> None:
    """Print to nowhere where output is closed, and what the terminal cannot show by its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
