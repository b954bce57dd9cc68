from __future__ import annotations

from importlib.metadata import version

import deepscore
from deepscore.version import CREATED_WITH


def test_the_version_is_that_of_the_package():
    assert deepscore.__version__ == version("deepscore")
    assert f"deepscore {deepscore.__version__}" == CREATED_WITH
