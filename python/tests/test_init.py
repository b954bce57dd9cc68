from __future__ import annotations

import subprocess
import sys

import pytest

import deepscore

HEAVY = ("torch", "anndata", "scipy", "pandas", "numpy")


def test_importing_the_package_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import deepscore"], capture_output=True, text=True, check=True
    )
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "deepscore" in loaded
    assert not loaded & set(HEAVY)


def test_every_public_name_is_there():
    for name in deepscore.__all__:
        assert getattr(deepscore, name) is not None
    assert set(deepscore.__all__) <= set(dir(deepscore))


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="no attribute 'deepscor'"):
        deepscore.deepscor  # noqa: B018


def test_plots_are_there_without_an_import_of_their_own():
    subprocess.run([sys.executable, "-c", "import deepscore; deepscore.plots.composition"], check=True)
