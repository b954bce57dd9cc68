from __future__ import annotations

import numpy as np
import pytest

from deepscore.interfaces import r_plots
from deepscore.model import file as modelfile
from deepscore.output.plot_tables import TABLES
from deepscore.workflows import plot_values
from interfaces.test_r import error, handle, is_plain, value


@pytest.fixture
def model_bytes(trained):
    return modelfile.to_bytes(trained.model)


def numbers(values):
    return bytearray(np.asarray(values, np.float64).tobytes())


def test_a_table_comes_as_lists_and_numbers_may_come_as_bytes():
    scores, reasons = [0.9, np.nan, 0.2], ["", None, "outlier"]
    found = value(r_plots.plot_table("score_distribution", {"scores": numbers(scores), "reasons": reasons}))
    assert is_plain(found)
    assert found == TABLES["score_distribution"](scores, reasons).to_dict("list")
    by_name = {"a": numbers([0.25, 0.75]), "b": numbers([0.75, 0.25])}
    found = value(r_plots.plot_table("probability_heatmap", {"probabilities": by_name, "groups": ["x", "x"]}))
    assert found["probability"] == [0.5, 0.5]
    assert error(r_plots.plot_table("peak_widths", {"peaks": {"all": ["CD3E"]}}))["code"] == "invalid_peaks"


def test_tables_and_coordinates_of_values_are_those_of_python(query, trained, model_bytes):
    data, groups = handle(query), query.obs["cell_type"].tolist()
    known = np.array(groups, object)
    found = value(r_plots.label_correlation_table(model_bytes, data, groups, {}))
    assert is_plain(found)
    assert found == plot_values.correlation_table(trained.model, data, known).to_dict("list")
    evidence = {"label": ["T cell"] * 2, "feature": ["GENE001", "GENE000"], "importance": numbers([1, 2])}
    found = value(r_plots.expression_table(model_bytes, data, groups, evidence, 1.0, {}))
    assert set(found["feature"]) == {"GENE000"}
    for model in (None, model_bytes):
        points = np.frombuffer(value(r_plots.plot_coordinates(data, model, {"modality": "rna"}))).reshape(-1, 2)
        expected = plot_values.coordinates(data, None if model is None else trained.model)
        np.testing.assert_allclose(points, expected, atol=1e-6)
