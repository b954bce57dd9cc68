from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

import deepscore
from deepscore.output.provenance import provenance


def test_what_called_the_cells_is_said(trained, tmp_path):
    trained.save(tmp_path / "model")
    found = provenance(trained.model, {"threshold": 0.7, "refine": False, "layer": None, "batch": np.array(["a", "b"])})
    date = datetime.fromisoformat(found.pop("date"))
    assert timedelta() <= datetime.now(UTC) - date < timedelta(minutes=5)
    manifest = deepscore.inspect_model(tmp_path / "model")
    assert found == {
        "model": manifest["content_sha256"],
        "model_created_with": f"deepscore {deepscore.__version__}",
        "labels": ["B cell", "NK cell", "T cell"],
        "annotated_with": f"deepscore {deepscore.__version__}",
        "threshold": 0.7,
        "refine": False,
        "batch": "given",
    }
