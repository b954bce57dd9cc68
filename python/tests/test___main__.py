"""The command line as a module."""

from __future__ import annotations

import subprocess
import sys

from deepscore.version import CREATED_WITH


def test_python_runs_the_package_as_the_command_line():
    done = subprocess.run([sys.executable, "-m", "deepscore", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == CREATED_WITH
