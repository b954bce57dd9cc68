from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

import deepscore
from deepscore.version import CREATED_WITH

ROOT = Path(__file__).parents[2]
# Where the version is written down again, because what reads it there reads nothing else.
COPIES = {
    "r-package/DESCRIPTION": r"^Version: (.+)$",
    "r-package/NEWS.md": r"^# deepscore (.+)$",
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## (\S+)",
}


def test_the_version_is_that_of_the_package():
    assert deepscore.__version__ == version("deepscore")
    assert f"deepscore {deepscore.__version__}" == CREATED_WITH


@pytest.mark.parametrize("file, pattern", COPIES.items())
def test_every_copy_of_the_version_is_the_same(file, pattern):
    newest = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == deepscore.__version__


def test_the_citation_of_the_r_package_has_no_version_of_its_own():
    citation = (ROOT / "r-package/inst/CITATION").read_text(encoding="utf-8")
    assert "meta$Version" in citation  # that of DESCRIPTION
    assert not re.search(r"\d+\.\d+", citation)


def test_r_installs_the_pins_that_the_engine_is_tested_with():
    copy = ROOT / "r-package/inst/python/constraints.txt"
    assert copy.read_text(encoding="utf-8") == (ROOT / "python/constraints.txt").read_text(encoding="utf-8")
