"""Commands about models and machines: ``inspect``, ``doctor``, ``completion``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from click.shell_completion import get_completion_class

from .verb import INPUT, Verb, say

__all__ = ["COMPLETE", "completion", "doctor", "inspect"]

# The variable by which a shell asks for completions.
COMPLETE = "_DEEPSCORE_COMPLETE"
as_json = click.option("--json", "in_json", is_flag=True, help="Print JSON, for programs.")


def say_json(value: Any) -> None:
    """Print JSON; what it lets stand and a terminal would obey is an escape of JSON, too."""
    plain = (sys.stdout.encoding or "").lower() != "utf-8"
    text = json.dumps(value, indent=2, ensure_ascii=plain)
    print("".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text))


@click.command(cls=Verb)
@click.argument("model", metavar="MODEL", type=INPUT)
@as_json
def inspect(model: str, in_json: bool) -> None:
    """Say what a model file holds."""
    from ...model.file import inspect_model

    manifest = inspect_model(model)
    if in_json:
        say_json(manifest)
        return
    from ...output.summary import model_summary

    say(model_summary(manifest))


@click.command(cls=Verb)
@as_json
def doctor(in_json: bool) -> None:
    """Find out what is wrong with the installation.

    Says which versions, threads and devices are there, and which extras are missing, with the command that mends it.
    The exit status is 1 where something that is needed is wrong.
    """
    from ..doctor import examine, words_of

    found = examine()
    if in_json:
        say_json(found)
    else:
        say("\n".join(words_of(found)))
    if found["problems"]:
        click.get_current_context().exit(1)


@click.command(cls=Verb)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script of completion for a shell.

    With it, bash, zsh or fish complete commands, options and files.

    \b
    bash: add to ~/.bashrc    eval "$(deepscore completion bash)"
    zsh:  add to ~/.zshrc     eval "$(deepscore completion zsh)"
    fish: deepscore completion fish > ~/.config/fish/completions/deepscore.fish
    """  # noqa: D301
    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(root, {}, "deepscore", COMPLETE).source())
