from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

import deepscore
from deepscore.output.provenance import provenance
from deepscore.query.annotation import Annotation
from deepscore.query.verdict import Verdict

NONE = np.empty(0)
FOUND = Annotation(NONE, NONE, NONE, NONE, None, (), 1.0)


def test_what_called_the_cells_is_said(trained, tmp_path):
    trained.save(tmp_path / "model")
    given = {"threshold": 0.7, "refine": False, "layer": None, "batch": np.array(["a", "b"])}
    found = provenance(trained.model, FOUND, given)
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


def test_what_is_known_of_the_query_as_a_whole_is_said(trained):
    verdict = Verdict(native=0.9, explained=0.5, agreement=0.8, foreign=False, higher=("A", "B"))
    found = provenance(trained.model, replace(FOUND, verdict=verdict), {})
    expected = {"native": 0.9, "explained": 0.5, "agreement": 0.8, "foreign": False, "higher": ["A", "B"]}
    assert {name: found[name] for name in expected} == expected
    assert "lower" not in found
    assert not provenance(trained.model, replace(FOUND, verdict=Verdict()), {}).keys() & set(expected)
