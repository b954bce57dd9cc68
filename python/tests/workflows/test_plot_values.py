from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import synthetic
from deepscore.errors import InputError
from deepscore.workflows import plot_values


@pytest.fixture
def counts(rng):
    """Return counts of 200 cells x 30 features, groups of the cells, and these as blocks without two features."""
    counts = rng.poisson(rng.gamma(1, 2, 30), (200, 30))
    groups = np.array(["9", "10", None, "9"] * 50, object)
    kept = np.arange(30) < 28
    return counts[:, kept], groups, synthetic.blocks_of(counts[:, kept], synthetic.names("GENE", 30)[kept])


def test_groups_are_averaged_over_their_cells(model, counts):
    x, groups, blocks = counts
    found = plot_values.group_profiles(model, blocks, groups)
    assert found.names == ["10", "9"]
    assert found.present.tolist() == [True] * 28 + [False] * 2
    values = synthetic.log_cp10k(x, model.normalization.target_total)
    for name, mean, share in zip(found.names, found.means, found.shares, strict=True):
        np.testing.assert_allclose(mean, [*values[groups == name].mean(axis=0), 0, 0], rtol=1e-5)
        np.testing.assert_allclose(share, [*(x[groups == name] > 0).mean(axis=0), 0, 0])


def test_profiles_correlate_with_those_of_the_reference(of_study):
    matrix, codes = synthetic.study(2, [60] * 5)
    names = synthetic.type_names(codes)
    table = plot_values.correlation_table(of_study, synthetic.blocks_of(matrix), names)
    values = synthetic.log_cp10k(matrix, of_study.normalization.target_total)
    of_labels = (of_study.profiles.label_means() - of_study.mean) / of_study.deviation
    for group, part in table.groupby("group"):
        z = (values[names == group].mean(axis=0) - of_study.mean) / of_study.deviation
        expected = [np.corrcoef(z, of_labels[of_study.labels.index(label)])[0, 1] for label in part["label"]]
        np.testing.assert_allclose(part["correlation"], expected, atol=1e-5)
        assert part.loc[part["correlation"].idxmax(), "label"] == group


def test_a_model_without_profiles_and_cells_without_groups_are_refused(model, counts):
    _, groups, blocks = counts
    with pytest.raises(InputError) as caught:
        plot_values.correlation_table(model, blocks, groups)
    assert caught.value.code == "no_profiles"
    with pytest.raises(InputError) as caught:
        plot_values.group_profiles(model, blocks, np.full(200, None, object))
    assert caught.value.code == "empty_data"


def test_the_features_of_the_evidence_are_laid_out(model, counts):
    x, groups, blocks = counts
    evidence = pd.DataFrame({"label": ["T cell", "B cell", "B cell"], "feature": ["GENE003", "GENE001", "GENE029"]})
    found = plot_values.expression_table(model, blocks, groups, evidence)
    assert found[["group", "feature"]].to_numpy().tolist() == [
        [group, name]
        for group in ("9", "10")
        for name in ("GENE001", "GENE003")  # the query lacks the third
    ]
    of_nine = synthetic.log_cp10k(x, model.normalization.target_total)[groups == "9"]
    np.testing.assert_allclose(found["mean"][:2], of_nine[:, [1, 3]].mean(axis=0), rtol=1e-5)
    with pytest.raises(InputError) as caught:
        plot_values.expression_table(model, blocks, groups, evidence.replace("GENE001", "CD3E"))
    assert caught.value.code == "features_not_found"


def components(values):
    left, sizes, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    return np.abs(left[:, :2] * sizes[:2])


def test_coordinates_are_principal_components_of_the_models_features(model, counts):
    x, _, blocks = counts
    found = plot_values.coordinates(blocks, model)
    expected = components(synthetic.log_cp10k(x, model.normalization.target_total))
    np.testing.assert_allclose(np.abs(found), expected, rtol=1e-3, atol=1e-3)


def test_without_a_model_they_are_those_of_the_querys_own_features(counts):
    x, _, blocks = counts
    total = min(np.median(x.sum(axis=1)), 1e4)
    found = plot_values.coordinates(blocks)
    np.testing.assert_allclose(np.abs(found), components(synthetic.log_cp10k(x, total)), rtol=1e-3, atol=1e-3)
