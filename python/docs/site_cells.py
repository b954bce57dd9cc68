"""Cells of the pages in other languages: ``%%r`` and ``%%bash``, loaded into each kernel that runs a page."""

import subprocess
import sys

from IPython.core.interactiveshell import InteractiveShell

COMMANDS = {"r": ["Rscript", "--vanilla", "-"], "bash": ["bash", "-eu"]}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the cells; what one prints is shown in the order of a terminal, and where one fails the build does."""
    for name, command in COMMANDS.items():
        shell.register_magic_function(_runner(command), "cell", name)


def _runner(command: list[str]):
    def run(_line: str, cell: str) -> None:
        done = subprocess.run(
            command, input=cell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        sys.stdout.write(done.stdout)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}")

    return run
