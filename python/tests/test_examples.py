"""Every example for chromatin runs as its user runs it, and calls most cells rightly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LEAST = {"activity": 0.9, "bridge": 0.95, "foreign_peaks": 0.95, "fragments": 0.95, "peaks": 0.95}


def test_every_example_is_run():
    assert {path.stem.removeprefix("chromatin_") for path in EXAMPLES.glob("chromatin_*.py")} == set(LEAST)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run all examples, as many at once as there are processors; each imports everything anew."""
    threads = {
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path_factory.mktemp("examples")),
    }  # its files go with the tests'

    def run(name):
        return subprocess.run(
            [sys.executable, EXAMPLES / f"chromatin_{name}.py"],
            env=os.environ | threads,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(LEAST, pool.map(run, LEAST), strict=True))


@pytest.mark.parametrize("name", LEAST)
def test_the_example_calls_most_cells_rightly(name, runs):
    done = runs[name]
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert all("Unknown types are not looked for" in line for line in warned), warned  # as is so with peaks
    last = re.fullmatch(r".*Right calls: ([\d.]+)% of 300 cells", done.stdout.splitlines()[-1])
    assert float(last[1]) / 100 > LEAST[name]
