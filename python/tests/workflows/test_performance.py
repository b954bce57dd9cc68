from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepscore.errors import ConfigError, InputError
from deepscore.workflows.performance import PerformanceRequest, ThresholdsRequest, find_thresholds, performance
from synthetic import LABELS, annotate_blocks, blocks_of, dataset


@pytest.fixture
def data():
    query = dataset(2, n_cells=150)
    return blocks_of(query.X, query.var_names.to_numpy(object)), query.obs["cell_type"].to_numpy(object)


@pytest.mark.parametrize("threshold", [0.5, 0.97])
@pytest.mark.parametrize("refine", [True, False])
def test_the_calls_that_are_weighed_are_those_of_annotate(trained, data, threshold, refine):
    blocks, truth = data
    found = performance(trained.model, blocks, truth, PerformanceRequest(threshold=threshold, refine=refine))
    calls = annotate_blocks(trained.model, blocks, threshold, refine=refine).calls
    assert found.accuracy == pytest.approx(np.mean(calls == truth))
    assert found.confusion.to_numpy().sum() == 150
    assert found.confusion["Unclassified"].sum() == sum(calls == "Unclassified")


def test_areas_are_those_of_the_scores(trained, data):
    blocks, truth = data
    request = PerformanceRequest(refine=False)
    found = performance(trained.model, blocks, truth, request).labels.set_index("label")["auc"]
    table = annotate_blocks(trained.model, blocks, refine=False, probabilities=True).probabilities
    for i, label in enumerate(LABELS):
        assert found[label] == pytest.approx(roc_auc_score(truth == label, table[:, i]))


def test_cells_without_a_label_do_not_count_but_are_told(trained, data):
    blocks, truth = data
    truth[:30] = None
    with pytest.warns(UserWarning, match="30 of 150 cells have no label"):
        found = performance(trained.model, blocks, truth, PerformanceRequest())
    assert found.n_cells == 120


def test_labels_without_a_threshold_of_their_own_are_told(trained, data):
    blocks, truth = data
    truth[truth == "NK cell"] = "B cell"
    with pytest.warns(UserWarning, match="No cell has the label 'NK cell'"):
        found = find_thresholds(trained.model, blocks, truth, ThresholdsRequest())
    assert found.set_index("label").loc["NK cell", "threshold"] == 0.5


def test_thresholds_are_used_by_annotate(trained, data):
    blocks, truth = data
    found = find_thresholds(trained.model, blocks, truth, ThresholdsRequest())
    assert found["label"].tolist() == list(LABELS)
    assert found["threshold"].between(0, 1).all()
    limits = found.set_index("label")["threshold"]
    free = annotate_blocks(trained.model, blocks, 0.0)
    for form in (found, limits, limits.to_dict()):
        calls = annotate_blocks(trained.model, blocks, form).calls
        expected = np.where(free.scores >= limits[free.calls].to_numpy(), free.calls, "Unclassified")
        assert calls.tolist() == expected.tolist()
    weighed = performance(trained.model, blocks, truth, PerformanceRequest(threshold=found))
    assert weighed.accuracy == pytest.approx(np.mean(expected == truth))


@pytest.mark.parametrize(("labels", "code"), [(["B cell"], "labels_length"), (["platelet"] * 150, "no_shared_labels")])
def test_labels_that_cannot_be_the_true_ones_are_refused(trained, data, labels, code):
    for verb, request in ((performance, PerformanceRequest()), (find_thresholds, ThresholdsRequest())):
        with pytest.raises(InputError) as caught:
            verb(trained.model, data[0], np.array(labels, object), request)
        assert caught.value.code == code


@pytest.mark.parametrize("options", [{"threshold": 2}, {"refine": 1}, {"min_overlap": -1}, {"missing": 3}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        PerformanceRequest(**options)
